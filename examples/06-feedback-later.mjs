// An agent whose log outlives it: another one, later, judges the run and goes on with the conversation.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAgent, openEventLog } from "@afterstate/core";
import { scriptedModel } from "@afterstate/core/testing";

const folder = await mkdtemp(join(tmpdir(), "afterstate-example-"));

const before = await openEventLog(folder);
const first = await createAgent({ model: scriptedModel(["It ships on Friday, by boat."]), log: before });
const { id, answer } = await first.stream({ prompt: "When does it ship?", sessionId: "order-17" }).result();
console.log(`${id}: ${answer}`);
await first.close();
await before.close();

const after = await openEventLog(folder);
const second = await createAgent({ model: scriptedModel(["Friday."]), log: after });
await second.feedback(id, { score: -1, correction: "Say the date only." });
const again = await second.stream({ prompt: "Once more, please?", sessionId: "order-17" }).result();
console.log(`${again.id}: ${again.answer}`);
for await (const { offset, event } of after.read(0)) console.log(String(offset).padStart(3), event.type);
await second.close();
await after.close();
await rm(folder, { recursive: true });
