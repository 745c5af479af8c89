import type { JudgedEpisode } from "../online/judged-episode.js";
import type { GateVerdict } from "../versions/gate.js";
import type { Alarm } from "./alarm.js";
import { answerStatistics } from "./answer-statistics.js";
import { DRIFT_LIMITS, type DriftLimits, watchDrift } from "./drift-watch.js";
import { type SafetyState, withAlarms } from "./safety-state.js";

/** Takes an update into account: what it was made of, what the gate said, and where it led. @returns all alarms that are to be told. */
export function noteUpdate(
  state: SafetyState,
  update: {
    readonly batch: { readonly trusted: readonly JudgedEpisode[]; readonly alarms: readonly Alarm[] };
    readonly verdict: GateVerdict;
    readonly metrics: Readonly<Record<string, number>>;
  },
  limits: Partial<DriftLimits> = {},
): { readonly state: SafetyState; readonly alarms: readonly Alarm[] } {
  const { batch, verdict, metrics } = update;
  const { entropy, kl } = metrics;
  const point = {
    ...answerStatistics(batch.trusted),
    ...(entropy !== undefined && { entropy }),
    ...(kl !== undefined && { kl }),
    ...(verdict.numbers.candidate !== undefined && { heldOut: verdict.numbers.candidate }),
  };
  const watched = watchDrift(state.drift, point, { ...DRIFT_LIMITS, ...limits });
  const forgotten: Alarm[] =
    verdict.forgotten === undefined
      ? []
      : [{ name: "forgetting", severity: "critical", message: verdict.reason, numbers: verdict.numbers }];
  const alarms = [...batch.alarms, ...forgotten, ...watched.alarms];
  return { state: withAlarms({ ...state, drift: watched.state }, alarms), alarms };
}
