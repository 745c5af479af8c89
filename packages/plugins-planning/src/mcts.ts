import { setImmediate as nextTurn } from "node:timers/promises";
import { AgentError, createRandom, type Environment, type EnvironmentStep } from "@afterstate/core";
import { chosenChild, meanReturn, mostPromisingChild, prove, type Side, type TreeNode } from "./search-tree.js";
import { UCB1_EXPLORATION } from "./ucb1.js";

/** What to search, how long and how. */
export interface MctsOptions<O, A> {
  /** In the state to plan from. It is forked, never stepped; a fork must go on as the original would. */
  readonly environment: Environment<O, A>;
  /** At most so many. */
  readonly simulations: number;
  readonly seed: number;
  /** c of UCB1; the default fits returns in [0, 1]. */
  readonly exploration?: number;
  /** Who chooses after so many actions from the root. Default: always the side that raises the return. */
  readonly sideAt?: (depth: number) => Side;
  /** The lowest and the highest return after any state. With it, certain outcomes are backed up as proven, and the search ends when the root's is. */
  readonly returnRange?: readonly [lowest: number, highest: number];
  /** The return to expect after a state. Default: that of one random rollout. It may step the environment it is given. */
  readonly evaluate?: (environment: Environment<O, A>) => number | Promise<number>;
  /** Episodes are cut after so many actions from the root. */
  readonly maxDepth?: number;
  /** Called after each expansion; `value` is the mean return from the last action on. */
  readonly onExpand?: (expansion: {
    readonly path: readonly A[];
    readonly visits: number;
    readonly value: number;
  }) => void;
  /** Ends the search early, with what was found so far. */
  readonly signal?: AbortSignal;
}

/** What a search found. */
export interface MctsResult<A> {
  /** The action to take; absent when none is legal or no simulation ran. */
  readonly action?: A;
  /** The return to expect from the root when that action is taken. */
  readonly value: number;
  readonly isProven: boolean;
  readonly simulations: number;
  readonly actions: readonly { readonly action: A; readonly visits: number; readonly value: number }[];
  /** The finished episode of highest return that a simulation went through, where one side makes all the choices. */
  readonly bestEpisode?: Episode<A>;
}

/** Actions from the root to the end, and their return. */
export interface Episode<A> {
  readonly actions: readonly A[];
  readonly return: number;
}

const SIMULATIONS_A_TURN = 256;
const DEFAULT_MAX_DEPTH = 1_000;

/**
 * Monte-Carlo tree search with UCB1 on trees (UCT: Kocsis and Szepesvári, ECML 2006). A simulation selects a path down the tree,
 * expands it by one node, estimates the return after that node and backs it up along the path.
 *
 * @throws AgentError `planner/invalid-option` for a budget that is no positive whole number.
 */
export async function mcts<O, A>(options: MctsOptions<O, A>): Promise<MctsResult<A>> {
  const { environment, simulations, returnRange, sideAt, signal } = options;
  if (!Number.isInteger(simulations) || simulations < 1) {
    throw new AgentError("planner/invalid-option", `simulations must be a whole number above 0, not ${simulations}`);
  }
  const search = new Search(options);
  let finished = 0;
  while (finished < simulations && !search.isDecided && !signal?.aborted) {
    const world = environment.fork();
    const path = await search.select(world);
    const isExpanded = await search.expand(path, world);
    const leafReturn = await search.simulate(path, world);
    search.backUp(path, leafReturn);
    if (isExpanded) report(path, options.onExpand);
    // The event loop gets its turn, so that an abort can arrive and others can work.
    if (++finished % SIMULATIONS_A_TURN === 0) await nextTurn();
  }
  const { root, bestEpisode } = search;
  const chosen = chosenChild(root, root.side > 0 ? returnRange?.[0] : returnRange?.[1]);
  return {
    ...(chosen?.action !== undefined && { action: chosen.action }),
    value: chosen === undefined ? 0 : meanReturn(chosen),
    isProven: root.proven !== undefined,
    simulations: finished,
    actions: root.children.map((child) => ({ action: child.action!, visits: child.visits, value: meanReturn(child) })),
    ...(sideAt === undefined && bestEpisode !== undefined && { bestEpisode }),
  };
}

/** The tree of one search, and the four phases of a simulation. */
class Search<O, A> {
  readonly root: TreeNode<A>;
  bestEpisode: Episode<A> | undefined;
  readonly #options: MctsOptions<O, A>;
  readonly #random;
  readonly #maxDepth: number;

  constructor(options: MctsOptions<O, A>) {
    this.#options = options;
    this.#random = createRandom(options.seed);
    this.#maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH;
    this.root = this.#node(undefined, 0, 0, options.environment.legalActions());
  }

  /** Whether more simulations cannot change the outcome. */
  get isDecided(): boolean {
    const { returnRange, sideAt } = this.#options;
    if (this.root.proven !== undefined || (this.root.untried.length === 0 && this.root.children.length === 0))
      return true;
    return (
      returnRange !== undefined && sideAt === undefined && (this.bestEpisode?.return ?? -Infinity) >= returnRange[1]
    );
  }

  /** Walks down by UCB1 to a node with an untried action, or to one whose outcome is known. */
  async select(world: Environment<O, A>): Promise<TreeNode<A>[]> {
    const exploration = this.#options.exploration ?? UCB1_EXPLORATION;
    let node = this.root;
    const path = [node];
    while (node.untried.length === 0 && node.children.length > 0 && node.proven === undefined) {
      node = mostPromisingChild(node, exploration);
      const step = world.step(node.action!);
      if (step instanceof Promise) await step;
      path.push(node);
    }
    return path;
  }

  /** Adds the node that the next untried action leads to. */
  async expand(path: TreeNode<A>[], world: Environment<O, A>): Promise<boolean> {
    const parent = path.at(-1)!;
    if (parent.proven !== undefined || parent.untried.length === 0) return false;
    const action = parent.untried.at(-1)!;
    let step: EnvironmentStep<O> | Promise<EnvironmentStep<O>> = world.step(action);
    if (step instanceof Promise) step = await step;
    const isOver = step.terminated || step.truncated || path.length >= this.#maxDepth;
    const node = this.#node(action, step.reward, path.length, isOver ? [] : world.legalActions());
    parent.untried.pop();
    parent.children.push(node);
    path.push(node);
    return true;
  }

  /** The return after the last node of the path: 0 at the end of an episode, else what is proven or estimated. */
  async simulate(path: readonly TreeNode<A>[], world: Environment<O, A>): Promise<number> {
    const leaf = path.at(-1)!;
    if (leaf.untried.length === 0 && leaf.children.length === 0) {
      this.#keepBest(path, [], 0);
      return 0;
    }
    if (leaf.proven !== undefined) return leaf.proven;
    return this.#options.evaluate === undefined ? this.#rollOut(path, world) : this.#options.evaluate(world);
  }

  /** Adds the return of the simulation to every node of the path, and proves what has become certain. */
  backUp(path: readonly TreeNode<A>[], leafReturn: number): void {
    const { returnRange } = this.#options;
    let returned = leafReturn;
    for (let depth = path.length - 1; depth >= 0; depth--) {
      const node = path[depth]!;
      returned += node.reward;
      node.visits++;
      node.total += returned;
      const next = path[depth + 1];
      if (returnRange === undefined || node.proven !== undefined) continue;
      if (node.untried.length === 0 && node.children.length === 0) node.proven = 0;
      else if (next?.proven !== undefined) prove(node, node.side > 0 ? returnRange[1] : returnRange[0]);
    }
  }

  /** Plays random legal actions to the end of the episode. @returns their return. */
  async #rollOut(path: readonly TreeNode<A>[], world: Environment<O, A>): Promise<number> {
    const actions: A[] = [];
    let returned = 0;
    for (let depth = path.length - 1; depth < this.#maxDepth; depth++) {
      const legal = world.legalActions();
      if (legal.length === 0) break;
      const action = this.#random.pick(legal);
      let step: EnvironmentStep<O> | Promise<EnvironmentStep<O>> = world.step(action);
      if (step instanceof Promise) step = await step;
      actions.push(action);
      returned += step.reward;
      if (step.terminated || step.truncated) break;
    }
    this.#keepBest(path, actions, returned);
    return returned;
  }

  #keepBest(path: readonly TreeNode<A>[], after: readonly A[], returned: number): void {
    if (this.#options.sideAt !== undefined) return;
    const total = path.reduce((sum, node) => sum + node.reward, returned);
    if (total <= (this.bestEpisode?.return ?? -Infinity)) return;
    this.bestEpisode = { actions: [...path.slice(1).map((node) => node.action!), ...after], return: total };
  }

  /** A node whose actions will be tried in random order. */
  #node(action: A | undefined, reward: number, depth: number, legal: readonly A[]): TreeNode<A> {
    const untried = [...legal];
    for (let last = untried.length - 1; last > 0; last--) {
      const other = this.#random.integer(last + 1);
      [untried[last], untried[other]] = [untried[other]!, untried[last]!];
    }
    const side = this.#options.sideAt?.(depth) ?? 1;
    return { action, reward, side, untried, children: [], visits: 0, total: 0, proven: undefined };
  }
}

function report<A>(path: readonly TreeNode<A>[], onExpand: MctsOptions<unknown, A>["onExpand"]): void {
  const leaf = path.at(-1)!;
  onExpand?.({ path: path.slice(1).map((node) => node.action!), visits: leaf.visits, value: meanReturn(leaf) });
}
