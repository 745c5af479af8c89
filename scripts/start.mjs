// `npm start`: installs when needed, builds what changed, then runs the demo in this same process,
// so that signals, the exit code and standard input are the demo's own.
import { build, checkNode, install, say } from "./prepare.mjs";

const failure = checkNode() ?? (await install()) ?? (await build());
if (failure !== undefined) {
  say(failure);
  process.exit(1);
}
await import("../apps/demo/dist/main.js");
