import type { Attribution, CorrectionLayer, EventPayloads } from "@afterstate/core";
import { isRejected } from "../signals/rejection.js";
import type { JudgeRequest } from "../types.js";
import { isOwn, type TextRules, type TextState } from "./learned-text-state.js";
import { personalContent } from "./personal-content.js";
import { isCommon, supportOf } from "./shared-wishes.js";
import { termsOf, type Wish, wishesOf } from "./wish.js";
import { MATTERS_OF_TASTE } from "./wish-words.js";

/** A correction with what is known of the step that it corrects. */
export interface Correction {
  readonly hint: string;
  readonly userId?: string;
  readonly request: JudgeRequest;
  readonly decisions: readonly EventPayloads["decision"][];
  readonly hasWeights: boolean;
}

/**
 * Which layer absorbs each wish of a correction; the first rule that holds decides:
 *
 * 1. it tells of a person → that user's text;
 * 2. a decision of the episode took another alternative than the one that it names, or the one that it does not want → that decision;
 * 3. there are weights, the answer was rejected, and the wish is no matter of taste → weights;
 * 4. it is common: wanted by `shareAfter` users and by twice as many as want otherwise → weights, or text for everyone where there are none;
 *    the weights of fewer users than that are theirs alone, and what all of them want is common;
 * 5. it is one user's → that user's text.
 */
export function attributeCorrection(correction: Correction, state: TextState, rules: TextRules): Attribution {
  const rejected = isRejected(correction.request);
  const wishes = wishesOf(correction.hint);
  const parts = wishes.map((wish) => ({ text: wish.text, ...layerOf(wish, rejected, correction, state, rules) }));
  return { parts, isWholeReason: wishes.length > 0 && !rejected };
}

function layerOf(
  wish: Wish,
  rejected: boolean,
  { userId, decisions, hasWeights }: Correction,
  state: TextState,
  { shareAfter }: TextRules,
): { readonly layer: CorrectionLayer; readonly why: string } {
  const personal = personalContent(wish.text);
  if (personal !== undefined) return { layer: "text-user", why: `it has ${personal} in it` };
  const decision = decisions.find((made) => explains(made, wish));
  if (decision) return { layer: "decision", why: `the decision "${decision.name}" took "${decision.choice}"` };
  if (hasWeights && rejected && !MATTERS_OF_TASTE.has(wish.topic))
    return { layer: "weights", why: "the answer was rejected, and this is no matter of taste" };
  const others = state.texts.filter((text) => !isOwn(text, userId));
  const { supporters, opponents } = supportOf(wish, { texts: others });
  const wanted = supporters.length + 1;
  const enough = hasWeights ? Math.max(1, Math.min(shareAfter, state.users.size)) : shareAfter;
  const why = `${wanted} of ${state.users.size} users want it, and ${opponents} otherwise; it is common from ${enough} on`;
  const isShared = userId !== undefined && isCommon({ supporters: wanted, opponents }, enough);
  if (!isShared) return { layer: "text-user", why };
  return { layer: hasWeights ? "weights" : "text-shared", why };
}

/** Whether another alternative, or not the one that was taken, is what a wish names. */
function explains({ choice, alternatives }: EventPayloads["decision"], { terms }: Wish): boolean {
  const others = alternatives.filter((alternative) => alternative !== choice).flatMap(termsOf);
  return others.some((term) => terms.includes(term)) || termsOf(choice).some((term) => terms.includes(`-${term}`));
}
