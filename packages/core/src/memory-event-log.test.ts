import { describe, expect, it } from "vitest";
import { memoryEventLog } from "./memory-event-log.js";
import { eventLogContract } from "./testing/index.js";

eventLogContract("memoryEventLog", async () => memoryEventLog(), { describe, it, expect });
