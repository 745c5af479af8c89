import { Channel } from "./channel.js";
import type { ModelPart, ModelResponse, ModelStream } from "./model.js";

/**
 * A model stream fed by a producer, which starts at once: it pushes parts and returns the whole response.
 * A producer that throws rejects both the iteration and `response()`; nobody has to listen to either.
 */
export function modelStream(produce: (push: (part: ModelPart) => void) => Promise<ModelResponse>): ModelStream {
  const parts = new Channel<ModelPart>();
  const push = (part: ModelPart) => parts.push(part);
  const run = async () => {
    try {
      const response = await produce(push);
      parts.end();
      return response;
    } catch (cause) {
      parts.fail(cause);
      throw cause;
    }
  };
  const response = run();
  response.catch(() => {});
  return { response: () => response, [Symbol.asyncIterator]: () => parts[Symbol.asyncIterator]() };
}
