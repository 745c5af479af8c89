// The page: receives batches of progress, keeps the numbers, draws them, and sends what the person types.
import { drawChart } from "./chart.mjs";

const at = (id) => document.getElementById(id);
const percent = (share) => `${Math.round(share * 100)} %`;
const signed = (share) => `${share < 0 ? "−" : "+"}${Math.abs(Math.round(share * 100))}`;
const MAX_LINES = 60;
const RECENT = 12;

const freshArm = () => ({ success: [], preference: [], rewards: [], session: 0, updates: 0, promoted: 0, refused: 0 });
let state = fresh();

function fresh() {
  return { arm: "learner", total: 0, arms: { learner: freshArm(), control: freshArm(), person: freshArm() } };
}

// ── what is received ──

const receive = {
  loading: ({ text }) => {
    state.phase = `${text} …`;
  },
  ready: (ready) => {
    state.total = ready.sessions;
    state.version = ready.policyVersion;
    state.phase = ready.sessions === 0 ? "ready to talk" : "ready";
    const how = ready.control ? "control: shuffled votes, no hints" : `learning: ${ready.learner}`;
    at("about").textContent =
      `${ready.parameters.toLocaleString("en")} parameters on ${ready.backend} · ${how} · seed ${ready.seed}`;
  },
  evaluating: ({ arm, completed, total }) => {
    state.arm = arm;
    state.phase = `${nameOf(arm)}: asking held-out questions, ${completed} of ${total}`;
  },
  evaluation: ({ arm, session, success, preference, toolRate, policyVersion }) => {
    state.arms[arm].success.push({ session, estimate: success });
    state.arms[arm].preference.push({ session, estimate: preference });
    if (arm === "learner") Object.assign(state, { toolRate: toolRate.value, version: policyVersion });
  },
  session: ({ arm, index, total, reward, refused, policyVersion }) => {
    const shown = state.arms[arm];
    Object.assign(state, { arm, total });
    Object.assign(shown, { session: index, refused });
    if (arm === "learner") state.version = policyVersion;
    if (reward !== undefined) shown.rewards = [...shown.rewards, reward].slice(-RECENT);
    state.phase = `${nameOf(arm)}: session ${index} of ${total}`;
  },
  update: ({ arm, index, promoted, candidate }) => {
    state.arms[arm].updates = index;
    if (!promoted) return;
    state.arms[arm].promoted += 1;
    if (arm !== "control") state.version = candidate;
  },
  rollback: ({ to, reason }) => {
    state.version = to;
    state.phase = `rolled back: ${reason}`;
  },
  trouble: ({ text }) => {
    state.phase = text;
  },
  message: (message) => (message.arm === "person" ? showPerson(message) : showSimulated(message)),
  summary: (summary) => {
    state.phase = "learned; ready to talk";
    state.finished = true;
    showSummary(summary);
  },
};

const nameOf = (arm) => ({ learner: "agent", control: "control", person: "you" })[arm];

function draw() {
  const shown = state.arms[state.arm];
  const person = state.arms.person;
  const agent = state.arms.learner;
  const updates = agent.updates + person.updates;
  const promoted = agent.promoted + person.promoted;
  at("phase").textContent = state.phase ?? "connecting …";
  at("bar").style.width = state.finished ? "100%" : `${state.total === 0 ? 0 : (100 * shown.session) / state.total}%`;
  at("bar").className = state.finished ? "learner" : state.arm;
  at("tool-rate").textContent = state.toolRate === undefined ? "–" : percent(state.toolRate);
  at("reward").textContent = agent.rewards.length === 0 ? "–" : mean(agent.rewards).toFixed(2).replace("-", "−");
  at("version").textContent = state.version ?? "–";
  at("version").classList.toggle("long", (state.version ?? "").length > 10);
  const note = Object.assign(document.createElement("small"), { textContent: ` ${promoted} promoted` });
  at("updates").replaceChildren(`${updates}`, note);
  at("sessions").textContent = `${agent.session}`;
  at("refused").textContent = `${agent.refused + state.arms.control.refused}`;
  for (const [id, label] of [
    ["success", "Task success over sessions"],
    ["preference", "Preference held over sessions"],
  ]) {
    const series = { learner: agent[id], control: state.arms.control[id] };
    at(id).querySelector("svg")?.remove();
    at(id).append(drawChart(series, state.total, label));
  }
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// ── conversations ──

function bubble({ from, name, text, policyVersion }) {
  const node = document.createElement("div");
  node.className = `message ${from}`;
  const who = document.createElement("span");
  who.className = "who";
  who.textContent = from === "agent" && policyVersion ? `${name} · ${policyVersion}` : name;
  node.append(who, text === "" ? "(no words)" : text);
  return node;
}

function append(log, ...nodes) {
  log.append(...nodes);
  while (log.childElementCount > MAX_LINES) log.firstElementChild.remove();
  log.scrollTop = log.scrollHeight;
}

const feed = at("feed");
let lastSession;
let paused = false;
feed.addEventListener("pointerenter", () => setPaused(true));
feed.addEventListener("pointerleave", () => setPaused(false));
function setPaused(value) {
  paused = value;
  at("paused").hidden = !value;
}

function showSimulated(message) {
  if (paused) return;
  if (lastSession !== undefined && lastSession !== message.sessionId) {
    append(feed, Object.assign(document.createElement("hr"), { className: "rule" }));
  }
  lastSession = message.sessionId;
  append(feed, bubble(message));
}

function showPerson(message) {
  at("chat").querySelector(".hint")?.remove();
  append(at("chat"), bubble(message));
  if (message.episodeId !== undefined) append(at("chat"), judgeButtons(message.episodeId));
}

function judgeButtons(episodeId) {
  const row = document.createElement("div");
  row.className = "judge";
  for (const [label, score] of [
    ["good", 1],
    ["bad", -1],
  ]) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
    button.addEventListener("click", async () => {
      const reply = await post("/api/feedback", { episodeId, score });
      if (reply.error) return;
      for (const other of row.children) other.disabled = true;
      button.setAttribute("aria-pressed", "true");
    });
    row.append(button);
  }
  return row;
}

// ── the person ──

const sessionId = `page-${crypto.randomUUID()}`;

async function post(path, body) {
  try {
    const reply = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return await reply.json();
  } catch {
    return { error: "the agent cannot be reached" };
  }
}

at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (text === "") return;
  at("text").value = "";
  const { error } = await post("/api/chat", { sessionId, text });
  if (error)
    append(
      at("chat"),
      Object.assign(bubble({ from: "agent", name: "not sent", text: error }), { className: "message agent failed" }),
    );
});

// ── the summary ──

const cell = (text, className = "") => Object.assign(document.createElement("td"), { textContent: text, className });

function estimateCell({ value, low, high }) {
  const node = cell(`${percent(value)} `);
  const interval = document.createElement("span");
  interval.className = "interval";
  interval.textContent = `${Math.round(low * 100)}–${Math.round(high * 100)}`;
  node.append(interval);
  return node;
}

function showSummary({ learner, control, sessions, updates, refused, samplesLost, seconds, backend }) {
  const rows = [];
  for (const [name, arm] of [
    ["agent", learner],
    ["control", control],
  ]) {
    if (arm === undefined) continue;
    for (const measure of ["success", "preference"]) {
      const { value, low, high } = arm.change[measure];
      const row = document.createElement("tr");
      row.append(
        cell(measure === "success" ? name : "", "name"),
        cell(measure === "success" ? "task success" : "preference held"),
        estimateCell(arm.before[measure]),
        estimateCell(arm.after[measure]),
        cell(`${signed(value)} points (${signed(low)} to ${signed(high)})`, low > 0 ? "up" : ""),
      );
      rows.push(row);
    }
  }
  at("rows").replaceChildren(...rows);
  at("summary-note").textContent =
    `${learner.before.success.n} held-out questions, never trained on; 95 % intervals. ` +
    `${sessions} sessions, ${updates} updates, ${refused} requests refused, ${samplesLost} samples lost, ` +
    `${Math.round(seconds)} s on ${backend}.`;
  at("summary").hidden = false;
}

// ── the connection ──

const source = new EventSource("/api/progress");
source.addEventListener("open", () => {
  // The server tells everything again to a new connection.
  state = fresh();
  feed.replaceChildren();
  for (const node of at("chat").querySelectorAll(".message, .judge")) node.remove();
  at("dot").className = "dot live";
});
source.addEventListener("error", () => {
  state.phase = "the program has ended, or cannot be reached";
  at("dot").className = "dot lost";
  draw();
});
source.addEventListener("message", ({ data }) => {
  for (const progress of JSON.parse(data)) receive[progress.type]?.(progress);
  draw();
});
draw();
