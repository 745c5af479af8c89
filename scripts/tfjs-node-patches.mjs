// What @tensorflow/tfjs-node 4.22.0, made for TensorFlow 2.9 and Node 20, needs to run on a TensorFlow and a Node of today.

/**
 * Changes to the files of the package, each with its reason. `from` is in the file as it is published; every place is changed.
 * @type {readonly { name: string, file: string, why: string, from: string | RegExp, to: string }[]}
 */
export const TFJS_NODE_PATCHES = [
  ...["dist/nodejs_kernel_backend.js", "dist/kernels/TopK.js"].map((file) => ({
    name: `null-checks in ${file}`,
    file,
    why: "Node 23 took util.isNullOrUndefined away",
    from: /\(0, util_1\.isNullOrUndefined\)\((\w+)\)/g,
    to: "($1 == null)",
  })),
  {
    name: "array-checks",
    file: "dist/nodejs_kernel_backend.js",
    why: "Node 23 took util.isArray away",
    from: "(0, util_1.isArray)(",
    to: "Array.isArray(",
  },
  {
    name: "no-summaries",
    file: "dist/nodejs_kernel_backend.js",
    why: "summaries for TensorBoard alone need a protobuf package and megabytes of generated code",
    from: "var messages = require('./proto/api_pb');",
    to: "",
  },
  {
    name: "names-per-thread",
    file: "binding/tfjs_backend.cc",
    why: "a policy and its trainer run on threads of their own, and both would write to one set of names",
    from: "static std::set<std::string> ATTR_NAME_SET;",
    to: "static thread_local std::set<std::string> &ATTR_NAME_SET = *new std::set<std::string>();",
  },
];

/**
 * The text of a file with its patch.
 * @throws Error when the text has no place for it.
 */
export function patched(text, { name, file, from, to }) {
  const result = text.replaceAll(typeof from === "string" ? from : new RegExp(from, "g"), to);
  if (result === text)
    throw new Error(`patch "${name}" finds no place in ${file}; it was made for @tensorflow/tfjs-node 4.22.0`);
  return result;
}
