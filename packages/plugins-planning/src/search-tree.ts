import { ucb1 } from "./ucb1.js";

/** +1 where actions are chosen to raise the return, −1 where they are chosen to lower it. */
export type Side = 1 | -1;

/** A state that the search has reached, by the action from its parent. It grows while the search goes on. */
export interface TreeNode<A> {
  readonly action: A | undefined;
  /** The reward of the step into this node. */
  readonly reward: number;
  readonly side: Side;
  /** Legal actions that have no child yet; empty at the end of an episode. The last is tried next. */
  readonly untried: A[];
  readonly children: TreeNode<A>[];
  visits: number;
  /** Sum over visits of the return from the step into this node on. */
  total: number;
  /** The return after this node when both sides choose best, once that is certain. */
  proven: number | undefined;
}

/** Mean return from the step into a node on: exact once it is proven. */
export function meanReturn<A>(node: TreeNode<A>): number {
  return node.proven === undefined ? node.total / node.visits : node.reward + node.proven;
}

/** The child of greatest upper confidence for the side that chooses; a proven child has its value and nothing to explore. */
export function mostPromisingChild<A>(node: TreeNode<A>, exploration: number): TreeNode<A> {
  let [best, bestScore] = [node.children[0]!, Number.NEGATIVE_INFINITY];
  for (const child of node.children) {
    const mean = node.side * meanReturn(child);
    const score = child.proven === undefined ? ucb1(mean, child.visits, node.visits, exploration) : mean;
    if (score > bestScore) [best, bestScore] = [child, score];
  }
  return best;
}

/**
 * Settles a node's return where its children's returns leave no doubt: one of them is the best that there can be, or all are proven.
 * MCTS-Solver: Winands, Björnsson and Saito, Computers and Games 2008.
 *
 * @param bestReturn The best return that the node's side can hope for after it.
 */
export function prove<A>(node: TreeNode<A>, bestReturn: number): void {
  let best = Number.NEGATIVE_INFINITY;
  let isComplete = node.untried.length === 0;
  for (const child of node.children) {
    if (child.proven === undefined) isComplete = false;
    else best = Math.max(best, node.side * meanReturn(child));
  }
  if (best >= node.side * bestReturn || (isComplete && node.children.length > 0)) node.proven = node.side * best;
}

/**
 * The child to act on: the most visited, save that a proven best child comes first and a proven worst one last; of equals, the more valuable.
 *
 * @param worstReturn The worst return for the node's side. Absent when nothing is proven.
 */
export function chosenChild<A>(node: TreeNode<A>, worstReturn: number | undefined): TreeNode<A> | undefined {
  const rank = (child: TreeNode<A>): number => {
    if (child.proven === undefined) return 1;
    if (node.proven !== undefined && meanReturn(child) === node.proven) return 2;
    return node.proven !== undefined || meanReturn(child) === worstReturn ? 0 : 1;
  };
  return node.children.toSorted(
    (left, right) =>
      rank(right) - rank(left) || right.visits - left.visits || node.side * (meanReturn(right) - meanReturn(left)),
  )[0];
}
