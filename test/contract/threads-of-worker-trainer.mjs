// Opens a trainer on a thread of its own and prints what the system knows of each thread of this process before and after.
// Linux: the scheduling policy of a thread is field 41 of its stat, see proc_pid_stat(5); its nice value is field 19.
import { readdirSync, readFileSync } from "node:fs";
import { createWorkerTrainer, EMBEDDED_POLICY, readPolicyFolder } from "@afterstate/learner";

const threads = () =>
  readdirSync("/proc/self/task").map((id) => {
    const fields = readFileSync(`/proc/self/task/${id}/stat`, "utf8").split(") ").at(-1).split(" ");
    return { id, nice: Number(fields[16]), policy: Number(fields[38]), isMain: Number(id) === process.pid };
  });
const before = threads();
const trainer = await createWorkerTrainer(readPolicyFolder(EMBEDDED_POLICY).config);
console.log(JSON.stringify({ before, after: threads() }));
await trainer.dispose();
