import type { StandardSchemaV1 } from "@standard-schema/spec";

/** What a tool may use while it runs. */
export interface ToolContext {
  /** Aborted on timeout and when the run is aborted. */
  readonly signal: AbortSignal;
  readonly sessionId: string;
  readonly userId?: string;
  /** Emits a tool-progress event. */
  progress(data: unknown): void;
}

/**
 * A tool: a description and schema for the model, a function for the loop.
 * The schema is any Standard Schema that can also give its JSON Schema (zod 4 and ArkType do), or `jsonSchema(...)`.
 */
export interface Tool<Input = unknown, Output = unknown> {
  readonly description: string;
  readonly input: ToolSchema<Input>;
  /** Text is shown to the model as it is, anything else as JSON. A throw becomes a result that the model sees. */
  execute(input: Input, context: ToolContext): Output | Promise<Output>;
  readonly timeoutMs?: number;
  /** Asks a person before the call runs: always, or when the predicate says so. */
  readonly needsApproval?: boolean | ((input: Input) => boolean);
  /** `false`: never runs beside another call of the same step. Default true. */
  readonly parallel?: boolean;
}

/** A Standard Schema with its JSON Schema at hand. */
export interface ToolSchema<Input> extends StandardSchemaV1<unknown, Input> {
  readonly "~standard": StandardSchemaV1.Props<unknown, Input> & {
    readonly jsonSchema?: {
      readonly input: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
    };
  };
}
