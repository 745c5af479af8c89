import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentError, createAgent, messageOf, openEventLog } from "@afterstate/core";
import { createGateway } from "@afterstate/learner/gateway";
import type { ServeOptions } from "./options.js";
import { openModel } from "./served-model.js";

/** A server that is up. */
export interface RunningServer {
  readonly url: string;
  /** What a person wants to know of it, a line each. */
  readonly lines: readonly string[];
  /** Ends running responses within the grace time, then closes everything. */
  close(): Promise<void>;
}

/** Opens log, model, learner, agent and gateway, in this order; what was opened is closed again when a later one fails. */
export async function serve(options: ServeOptions, tell: (line: string) => void): Promise<RunningServer> {
  const opened: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const closeOne of opened.splice(0).reverse()) await closeOne();
  };
  try {
    const { folder, remove } = await dataFolder(options.data);
    opened.push(remove);
    const log = await openEventLog(join(folder, "events"));
    opened.push(() => log.close());
    const served = await openModel(options, folder, log);
    opened.push(() => served.dispose());
    const { name, model, plugins, policy, learner, backend } = served;
    const agent = await createAgent({ model, plugins, log, seed: options.seed });
    opened.push(() => agent.close());
    agent.events.on("policy-update", ({ candidate, samples, metrics }) => {
      if (metrics.gateAccepted !== 1) tell(`${candidate}, learned from ${samples} steps, was held back by the gate`);
    });
    agent.events.on("policy-promotion", ({ version, parent }) => tell(`${version} serves, learned from ${parent}`));
    agent.events.on("policy-rollback", ({ from, to, reason }) =>
      tell(`${to} serves again instead of ${from}: ${reason}`),
    );
    agent.events.on("error", ({ code, message }) => tell(`trouble (${code}): ${message}`));
    const { keys, port, host } = options;
    const gateway = createGateway({
      agent,
      log,
      modelName: name,
      keys,
      ...(policy && { policy }),
      ...(learner && { learner }),
      onFailure: ({ code, message, stack }) =>
        tell(`failed (${code}): ${code === "gateway/failed" ? (stack ?? message) : message}`),
    });
    opened.push(() => gateway.close());
    const { url } = await gateway.listen(port, host);
    const learns = [
      ...(learner ? [`weights (${options.learner})`] : []),
      "text",
      ...(options.tries.length > 0 ? ["which instruction to give"] : []),
    ];
    const lines = [
      `Afterstate serves ${name} at ${url}/v1`,
      `  backend   ${backend}`,
      `  versions  ${policy ? policy.versions.map((version) => (version === policy.serving ? `${version} (serving)` : version)).join(", ") : "none: the model lives elsewhere"}`,
      `  learns    ${options.learner === "off" ? "nothing" : learns.join(", ")}`,
      `  keys      ${keys.length === 0 ? "none: this machine alone is answered" : keys.length}`,
      `  data      ${options.data ?? "none: what is learned is gone at the end (--data keeps it)"}`,
    ];
    return { url, lines, close };
  } catch (cause) {
    await close();
    throw cause;
  }
}

async function dataFolder(
  data: string | undefined,
): Promise<{ readonly folder: string; readonly remove: () => Promise<void> }> {
  if (data === undefined) {
    const folder = await mkdtemp(join(tmpdir(), "afterstate-"));
    return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
  }
  try {
    await mkdir(data, { recursive: true });
  } catch (cause) {
    const message = `the data folder "${data}" cannot be used: ${messageOf(cause)}; choose one that this process may write`;
    throw new AgentError("serve/bad-data-folder", message, { cause });
  }
  return { folder: data, remove: async () => {} };
}
