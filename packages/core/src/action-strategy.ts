import type { LanguageModel, ModelPart, ModelRequest, ModelResponse } from "./model.js";

/** Makes the action of one step. Provided under the service key `ACTION_STRATEGY`. */
export interface ActionStrategy {
  /** One action. Calls `onPart` for each streamed part. Rejects with a ModelError when the model fails. */
  act(request: {
    readonly model: LanguageModel;
    readonly request: ModelRequest;
    readonly onPart: (part: ModelPart) => void;
    readonly signal: AbortSignal;
  }): Promise<ModelResponse>;
}

/** ReAct (Yao et al., arXiv:2210.03629): reason and act in one model call a step, observe, repeat. */
export const reactStrategy: ActionStrategy = {
  async act({ model, request, onPart, signal }) {
    const stream = model.generate(request, { signal });
    for await (const part of stream) onPart(part);
    return stream.response();
  },
};
