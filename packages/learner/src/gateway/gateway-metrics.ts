import type { EventBus } from "@afterstate/core";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { LearnerReport } from "../online/learner-options.js";
import type { PolicyRuntime } from "../types.js";

/** What a gateway counts. */
export interface GatewayMetrics {
  request(route: string, status: number): void;
  firstToken(seconds: number): void;
  tokens(used: { readonly inputTokens: number; readonly outputTokens: number }): void;
  /** The text that Prometheus reads. */
  text(): Promise<{ readonly contentType: string; readonly body: string }>;
  dispose(): void;
}

/** From a few milliseconds to a minute, in seconds. */
const LATENCY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Opens the counters; what others count is asked for when they are read. */
export function openMetrics(sources: {
  readonly events: EventBus;
  readonly running: () => number;
  readonly queued: () => number;
  readonly sessions: () => number;
  readonly policy: PolicyRuntime | undefined;
  readonly report: (() => LearnerReport) | undefined;
}): GatewayMetrics {
  const { events, running, queued, sessions, policy, report } = sources;
  const registers = [new Registry()];
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter({ name: `afterstate_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string, read: (gauge: Gauge) => void, ...labelNames: string[]) =>
    new Gauge({
      name: `afterstate_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        read(this);
      },
    });

  const requests = counter("requests_total", "Requests by route and status.", "route", "status");
  const tokens = counter("tokens_total", "Tokens that models read and wrote for clients.", "kind");
  const alarms = counter(
    "errors_total",
    "Errors that were told on the event bus, by code; alarms of the learner are among them.",
    "code",
  );
  const firstToken = new Histogram({
    name: "afterstate_time_to_first_token_seconds",
    help: "From the request's last byte to the response's first token.",
    buckets: LATENCY_BUCKETS,
    registers,
  });
  gauge("requests_running", "Requests that are being answered.", (one) => one.set(running()));
  gauge("requests_queued", "Requests that wait for their turn.", (one) => one.set(queued()));
  gauge("sessions_open", "Conversations that may go on.", (one) => one.set(sessions()));
  if (policy) {
    const help = "1 for the version that new requests take, 0 for others that can be asked for.";
    const read = (one: Gauge) => {
      for (const version of policy.versions) one.set({ version }, version === policy.serving ? 1 : 0);
    };
    gauge("policy_serving", help, read, "version");
  }
  if (report) {
    const read = (one: Gauge) => {
      for (const [count, value] of Object.entries(report())) {
        if (typeof value === "number") one.set({ count }, value);
        else if (Array.isArray(value)) one.set({ count }, value.length);
      }
    };
    gauge(
      "learner",
      "What the learner has counted: updates, promotions, rejections, rollbacks, samples and their kin.",
      read,
      "count",
    );
  }
  const stopListening = events.on("error", ({ code }) => alarms.inc({ code }));

  return {
    request: (route, status) => requests.inc({ route, status: String(status) }),
    firstToken: (seconds) => firstToken.observe(seconds),
    tokens({ inputTokens, outputTokens }) {
      tokens.inc({ kind: "input" }, inputTokens);
      tokens.inc({ kind: "output" }, outputTokens);
    },
    text: async () => ({ contentType: registers[0]!.contentType, body: await registers[0]!.metrics() }),
    dispose: stopListening,
  };
}
