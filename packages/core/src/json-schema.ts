import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { ErrorObject, ValidateFunction } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import { messageOf } from "./errors.js";
import type { ToolSchema } from "./tool.js";

/**
 * A JSON Schema (draft 2020-12) as a Standard Schema, validated by ajv. For tools whose schema arrives as data.
 * It is compiled on first use; a schema that ajv cannot compile throws then, which for a tool is when the agent starts.
 */
export function jsonSchema<T = unknown>(schema: Readonly<Record<string, unknown>>): ToolSchema<T> {
  let compiled: ValidateFunction | undefined;
  const compile = () => {
    compiled ??= new Ajv2020({
      strict: false,
      meta: false,
      validateSchema: false,
      validateFormats: false,
      logger: false,
      allErrors: true,
    }).compile(schema);
    return compiled;
  };
  return {
    "~standard": {
      version: 1,
      vendor: "afterstate",
      validate(value) {
        const validate = compile();
        try {
          if (validate(value)) return { value: value as T };
          return { issues: (validate.errors ?? []).map(issueOf) };
        } catch (cause) {
          // ajv calls methods of what it compares, and input may have fields of their names.
          return { issues: [{ message: `cannot be compared with the schema: ${messageOf(cause)}` }] };
        }
      },
      jsonSchema: {
        input: () => {
          compile();
          return { ...schema };
        },
      },
    },
  };
}

function issueOf(error: ErrorObject): StandardSchemaV1.Issue {
  const path = error.instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  if (error.keyword === "required") path.push(String(error.params.missingProperty));
  if (error.keyword === "additionalProperties") path.push(String(error.params.additionalProperty));
  return { message: error.message ?? error.keyword, path };
}
