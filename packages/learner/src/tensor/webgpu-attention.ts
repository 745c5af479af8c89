import type * as tf from "@tensorflow/tfjs";
import { groupsOf, type Kernel } from "./webgpu-kernel.js";
import { defineOperation } from "./webgpu-operation.js";

/*
 * Causal attention with an online softmax (FlashAttention, arXiv:2205.14135; backward as in arXiv:2307.08691, Alg. 2): scores exist for one
 * tile at a time. A thread owns a query and walks over the keys, or owns a key and walks over the queries; no two threads
 * add to one number, so that the same inputs give the same gradient, to the bit.
 *
 *   s_ij = c q_i·k_j,  p_ij = exp(s_ij − L_i),  L_i = log Σ_{j≤i} exp(s_ij),  o_i = Σ_j p_ij v_j
 *   D_i = do_i·o_i     ds_ij = c p_ij (do_i·v_j − D_i)     dq_i = Σ_j ds_ij k_j     dk_j = Σ_i ds_ij q_i     dv_j = Σ_i p_ij do_i
 *
 * Queries [batch, seq, heads, headDim], keys and values [batch, seq, kvHeads, headDim]: as the products leave them.
 */

/** Threads of a workgroup: the queries, or the keys, that it owns. */
const OWNED = 32;
/** Rows of the other side that it holds at once. */
const TILE = 16;

const NUMBERS = { seq: "u32", heads: "u32", kvHeads: "u32", scale: "f32" } as const;

/** Kernels of one head width; elements are four floats where the width allows it. */
function kernelsFor(headDim: number) {
  const element = headDim % 4 === 0 ? ("vec4f" as const) : ("f32" as const);
  const width = element === "vec4f" ? headDim / 4 : headDim;
  const shared = (name: string) => `var<workgroup> ${name}: array<${element}, ${TILE * width}>;`;
  const own = (name: string) => `var ${name}: array<${element}, ${width}>;`;
  const times = (body: string) => `for (var d = 0u; d < ${width}u; d++) { ${body} }`;
  /** Loads rows `first`…`first + TILE` of two tensors into workgroup memory; rows past the end are zero. */
  const load = (a: string, b: string, head: string, heads: string) => `
    for (var e = thread; e < ${TILE * width}u; e += ${OWNED}u) {
      let row = first + e / ${width}u;
      let source = ((sequence * numbers.seq + row) * ${heads} + ${head}) * ${width}u + e % ${width}u;
      tile_a[e] = ${element}(0.0);
      tile_b[e] = ${element}(0.0);
      if (row < numbers.seq) {
        tile_a[e] = ${a}[source];
        tile_b[e] = ${b}[source];
      }
    }
    workgroupBarrier();`;
  const prelude = `
    ${shared("tile_a")}
    ${shared("tile_b")}
    fn product(a: ${element}, b: ${element}) -> f32 { return ${element === "vec4f" ? "dot(a, b)" : "a * b"}; }`;
  /** Which sequence, head and block a workgroup has, and the row of its thread. */
  const place = (heads: string) => `
    let blocks = (numbers.seq + ${OWNED - 1}u) / ${OWNED}u;
    let block = group % blocks;
    let head = group / blocks % ${heads};
    let sequence = group / blocks / ${heads};
    let row_of_thread = block * ${OWNED}u + thread;
    let inside = row_of_thread < numbers.seq;
    let own_at = ((sequence * numbers.seq + row_of_thread) * ${heads} + head) * ${width}u;`;

  const forward: Kernel = {
    name: `attention-${headDim}`,
    inputs: { queries: element, keys: element, values: element },
    outputs: { mixed: element, normalisers: "f32" },
    numbers: NUMBERS,
    threads: OWNED,
    code: `${prelude}
      fn kernel(group: u32, thread: u32) {
        ${place("numbers.heads")}
        let kv_head = head / (numbers.heads / numbers.kvHeads);
        ${own("query")} ${own("sum")}
        if (inside) { ${times("query[d] = queries[own_at + d] * numbers.scale;")} }
        var top = -3.0e38;
        var weight = 0.0;
        let end = min(numbers.seq, (block + 1u) * ${OWNED}u);
        for (var first = 0u; first < end; first += ${TILE}u) {
          ${load("keys", "values", "kv_head", "numbers.kvHeads")}
          for (var j = 0u; j < ${TILE}u && first + j <= row_of_thread; j++) {
            var score = 0.0;
            ${times(`score += product(query[d], tile_a[j * ${width}u + d]);`)}
            if (score > top) {
              let shrink = exp(top - score);
              weight *= shrink;
              ${times("sum[d] *= shrink;")}
              top = score;
            }
            let p = exp(score - top);
            weight += p;
            ${times(`sum[d] += p * tile_b[j * ${width}u + d];`)}
          }
          workgroupBarrier();
        }
        if (inside) {
          ${times("mixed[own_at + d] = sum[d] / weight;")}
          normalisers[(sequence * numbers.seq + row_of_thread) * numbers.heads + head] = top + log(weight);
        }
      }`,
  };

  const byQuery: Kernel = {
    name: `attention-dq-${headDim}`,
    inputs: {
      queries: element,
      keys: element,
      values: element,
      mixed: element,
      normalisers: "f32",
      dmixed: element,
    },
    outputs: { dqueries: element, deltas: "f32" },
    numbers: NUMBERS,
    threads: OWNED,
    code: `${prelude}
      fn kernel(group: u32, thread: u32) {
        ${place("numbers.heads")}
        let kv_head = head / (numbers.heads / numbers.kvHeads);
        ${own("query")} ${own("dy")} ${own("sum")}
        var delta = 0.0;
        var normaliser = 0.0;
        let statistic = (sequence * numbers.seq + row_of_thread) * numbers.heads + head;
        if (inside) {
          ${times(`query[d] = queries[own_at + d] * numbers.scale;
            dy[d] = dmixed[own_at + d];
            delta += product(dy[d], mixed[own_at + d]);`)}
          normaliser = normalisers[statistic];
        }
        let end = min(numbers.seq, (block + 1u) * ${OWNED}u);
        for (var first = 0u; first < end; first += ${TILE}u) {
          ${load("keys", "values", "kv_head", "numbers.kvHeads")}
          for (var j = 0u; j < ${TILE}u && first + j <= row_of_thread; j++) {
            var score = 0.0;
            var dp = 0.0;
            ${times(`score += product(query[d], tile_a[j * ${width}u + d]);
              dp += product(dy[d], tile_b[j * ${width}u + d]);`)}
            let ds = numbers.scale * exp(score - normaliser) * (dp - delta);
            ${times(`sum[d] += ds * tile_a[j * ${width}u + d];`)}
          }
          workgroupBarrier();
        }
        if (inside) {
          ${times("dqueries[own_at + d] = sum[d];")}
          deltas[statistic] = delta;
        }
      }`,
  };

  const byKey: Kernel = {
    name: `attention-dkv-${headDim}`,
    inputs: {
      queries: element,
      keys: element,
      values: element,
      normalisers: "f32",
      deltas: "f32",
      dmixed: element,
    },
    outputs: { dkeys: element, dvalues: element },
    numbers: NUMBERS,
    threads: OWNED,
    code: `${prelude}
      fn kernel(group: u32, thread: u32) {
        ${place("numbers.kvHeads")}
        let shared_by = numbers.heads / numbers.kvHeads;
        ${own("key")} ${own("value")} ${own("dkey")} ${own("dvalue")}
        if (inside) {
          ${times(`key[d] = keys[own_at + d] * numbers.scale;
            value[d] = values[own_at + d];`)}
        }
        for (var query_head = head * shared_by; query_head < (head + 1u) * shared_by; query_head++) {
          for (var first = block * ${OWNED}u; first < numbers.seq; first += ${TILE}u) {
            ${load("queries", "dmixed", "query_head", "numbers.heads")}
            for (var i = 0u; i < ${TILE}u && first + i < numbers.seq; i++) {
              if (first + i < row_of_thread) { continue; }
              let statistic = (sequence * numbers.seq + first + i) * numbers.heads + query_head;
              var score = 0.0;
              var dp = 0.0;
              ${times(`score += product(key[d], tile_a[i * ${width}u + d]);
                dp += product(value[d], tile_b[i * ${width}u + d]);`)}
              let p = exp(score - normalisers[statistic]);
              let ds = numbers.scale * p * (dp - deltas[statistic]);
              ${times(`dkey[d] += ds * tile_a[i * ${width}u + d];
                dvalue[d] += p * tile_b[i * ${width}u + d];`)}
            }
            workgroupBarrier();
          }
        }
        if (inside) {
          ${times(`dkeys[own_at + d] = dkey[d];
            dvalues[own_at + d] = dvalue[d];`)}
        }
      }`,
  };
  return { forward, byQuery, byKey };
}

/** Defines the operation. Once per thread, after the backend. */
export function defineAttention() {
  const known = new Map<number, ReturnType<typeof kernelsFor>>();
  const kernelsOf = (headDim: number) => {
    if (!known.has(headDim)) known.set(headDim, kernelsFor(headDim));
    return known.get(headDim)!;
  };
  const facts = (queries: tf.TensorInfo, keys: tf.TensorInfo) => {
    const [batch, seq, heads, headDim] = queries.shape as [number, number, number, number];
    const kvHeads = keys.shape[2]!;
    const groups = (ownHeads: number) => batch * ownHeads * groupsOf(seq, OWNED);
    return { statistics: [batch, seq, heads], heads, kvHeads, headDim, groups, numbers: { seq, heads, kvHeads } };
  };

  return defineOperation<"queries" | "keys" | "values", { scale: number }>({
    name: "CausalAttention",
    inputs: ["queries", "keys", "values"],
    saves: [true, true],
    forward: (run, { queries, keys, values }, { scale }) => {
      const { headDim, heads, numbers, statistics, groups } = facts(queries, keys);
      return run(kernelsOf(headDim).forward, {
        inputs: [queries, keys, values],
        outputs: [queries.shape, statistics],
        numbers: { ...numbers, scale },
        groups: groups(heads),
      });
    },
    gradient: (run, dmixed, saved, { scale }) => {
      const [queries, keys, values, mixed, normalisers] = saved as tf.Tensor[];
      const { headDim, heads, kvHeads, numbers, statistics, groups } = facts(queries!, keys!);
      const [dqueries, deltas] = run(kernelsOf(headDim).byQuery, {
        inputs: [queries!, keys!, values!, mixed!, normalisers!, dmixed],
        outputs: [queries!.shape, statistics],
        numbers: { ...numbers, scale },
        groups: groups(heads),
      });
      const [dkeys, dvalues] = run(kernelsOf(headDim).byKey, {
        inputs: [queries!, keys!, values!, normalisers!, deltas!, dmixed],
        outputs: [keys!.shape, values!.shape],
        numbers: { ...numbers, scale },
        groups: groups(kvHeads),
      });
      return { queries: () => dqueries!, keys: () => dkeys!, values: () => dvalues! };
    },
  });
}
