import type { TransformerConfig } from "../tensor/transformer-config.js";
import { forwardPass } from "./forward-pass.js";
import type { Machine } from "./machine.js";
import { type Model, modelOf } from "./model.js";
import type { PackedTokens, SelectedRows } from "./packed-tokens.js";
import { openRotaryTable } from "./rotary-table.js";
import { type ScoreRows, scoreRows } from "./score-rows.js";
import type { PlacedWeights } from "./weights.js";

/** Scores token sequences without gradient. */
export interface Scorer {
  readonly model: Model;
  /** Calls `use` with the scores of selected rows, part by part. @returns log π of the targets, in nats. [selected] */
  score(tokens: PackedTokens, selected: SelectedRows, use?: (part: ScoreRows) => void): Float32Array;
  free(): void;
}

/** A scorer over placed weights. */
export function createScorer(machine: Machine, config: TransformerConfig, weights: PlacedWeights): Scorer {
  const model = modelOf(config, weights);
  const table = openRotaryTable(machine.arena, config);
  return {
    model,
    score(tokens, selected, use) {
      if (selected.rows.length === 0) return new Float32Array(0);
      table.reach(tokens.longest);
      return machine.arena.pass(() => {
        const { streams } = forwardPass(machine, model, table, tokens, "nothing");
        return scoreRows(machine, model, streams.at(-1)!, tokens.rows, selected, use);
      });
    },
    free: () => table.free(),
  };
}
