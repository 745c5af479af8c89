import { AgentError, messageOf } from "./errors.js";
import type { ToolDefinition } from "./model.js";
import type { Tool } from "./tool.js";

/** A tool of whatever input and output. */
// biome-ignore lint/suspicious/noExplicitAny: tools with unlike inputs have no other common type
export type AnyTool = Tool<any, any>;

/** The tools of an agent, by name, with what the model is told about them in an order that never changes. */
export interface ToolSet {
  readonly byName: ReadonlyMap<string, AnyTool>;
  readonly definitions: readonly ToolDefinition[];
}

const NAME = /^[a-zA-Z0-9_-]{1,64}$/;

/**
 * The tools of all plugins, in plugin order.
 * @throws AgentError `tool/invalid-name`, `tool/duplicate-name` or `tool/invalid-schema`, naming tool and plugin.
 */
export function toolSet(
  plugins: readonly { readonly name: string; readonly tools?: Readonly<Record<string, AnyTool>> }[],
): ToolSet {
  const byName = new Map<string, AnyTool>();
  const owners = new Map<string, string>();
  const definitions: ToolDefinition[] = [];
  for (const plugin of plugins) {
    for (const [name, tool] of Object.entries(plugin.tools ?? {})) {
      if (!NAME.test(name)) {
        throw new AgentError(
          "tool/invalid-name",
          `tool "${name}" of plugin "${plugin.name}" has a name that models do not accept; use at most 64 letters, digits, "_" and "-"`,
        );
      }
      if (byName.has(name)) {
        throw new AgentError(
          "tool/duplicate-name",
          `plugins "${owners.get(name)}" and "${plugin.name}" both have a tool "${name}"; rename one of them`,
        );
      }
      byName.set(name, tool);
      owners.set(name, plugin.name);
      definitions.push(toolDefinition(name, tool, plugin.name));
    }
  }
  return { byName, definitions };
}

function toolDefinition(name: string, tool: AnyTool, pluginName: string): ToolDefinition {
  const refuse = (why: string, cause?: unknown) =>
    new AgentError(
      "tool/invalid-schema",
      `tool "${name}" of plugin "${pluginName}" has no usable input schema: ${why}`,
      cause === undefined ? {} : { cause },
    );
  const toJson = tool.input?.["~standard"]?.jsonSchema?.input;
  if (!toJson) {
    throw refuse("it cannot give its JSON Schema; use a schema that can (zod 4, ArkType) or jsonSchema(...)");
  }
  let inputSchema: Record<string, unknown>;
  try {
    inputSchema = toJson({ target: "draft-2020-12" });
  } catch (cause) {
    throw refuse(messageOf(cause), cause);
  }
  if (inputSchema.type !== "object") {
    throw refuse(`its input is of type ${JSON.stringify(inputSchema.type)}; models call tools with an object`);
  }
  const { $schema: _, ...rest } = inputSchema;
  return { name, description: tool.description, inputSchema: rest };
}
