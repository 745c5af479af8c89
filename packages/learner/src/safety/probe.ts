import type { Message, TokenRecord, ToolDefinition } from "@afterstate/core";
import { mixSeed } from "@afterstate/core";
import type { PolicyRuntime } from "../types.js";

/**
 * The responses of a policy's version to contexts, as it samples them: what a trust region is measured on. The same version, contexts,
 * tools and seed give the same probe.
 */
export async function drawProbe(
  policy: PolicyRuntime,
  version: string,
  contexts: readonly (readonly Message[])[],
  { tools, seed }: { readonly tools: readonly ToolDefinition[]; readonly seed: number },
): Promise<readonly TokenRecord[]> {
  const model = policy.model(version);
  const { signal } = new AbortController();
  const responses = await Promise.all(
    contexts.map((messages, index) => {
      const request = { messages, tools, seed: mixSeed(seed, "probe", index), temperature: 1 };
      return model.generate(request, { signal }).response();
    }),
  );
  return responses.flatMap(({ tokens }) => (tokens === undefined ? [] : [tokens]));
}
