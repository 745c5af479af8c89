// llama.cpp as node-llama-cpp ships it.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** Where `npm run models:test` installs it. */
export const nodeLlamaCpp = (models) => join(models, "node_modules", "node-llama-cpp", "dist", "index.js");

/** Opens the peer on a GGUF file, in the form of `openFloat32Peer`. @param contextOptions of node-llama-cpp. */
export async function openNodePeer(models, path, contextOptions) {
  const { getLlama, LlamaLogLevel } = await import(pathToFileURL(nodeLlamaCpp(models)).href);
  // One thread: its threads wait by spinning, which on a busy machine takes longer than the work.
  const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.error });
  const model = await llama.loadModel({ modelPath: path });
  const context = await model.createContext({ contextSize: 1024, ...contextOptions });
  const sequence = context.getSequence();

  async function scoreOne(ids) {
    await sequence.clearHistory();
    const wanted = (t) => ({ logits: { filter: { tokens: [ids[t + 1]], includeTop: 2 } }, totalLogitWeight: true });
    const output = await sequence.controlledEvaluate(
      ids.slice(0, -1).map((id, t) => [id, { generateNext: wanted(t) }]),
    );
    return output.map(({ next: { logits, totalLogitWeight } }, t) => {
      const [top, topLogit] = [...logits.entries()].reduce((best, entry) => (entry[1] > best[1] ? entry : best));
      const sum = Math.log(totalLogitWeight);
      return { top, topLogProb: -sum, logProb: logits.get(ids[t + 1]) - topLogit - sum };
    });
  }

  return {
    async score(texts) {
      const scores = [];
      for (const ids of texts) scores.push(await scoreOne(ids));
      return scores;
    },
    tokenize: (text) => model.tokenize(text, false),
    async close() {
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}
