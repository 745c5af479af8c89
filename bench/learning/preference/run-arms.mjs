// Arms by seeds, one after the other, as the command line of a bench names them.
import { ARMS } from "./arms.mjs";
import { runArm } from "./run-arm.mjs";

/**
 * Prints a result a line, of all arms and seeds, or of the parts that are named: `hybrid=1-3`.
 *
 * @param settingOf the arm as it is run, and its setting, from the arm.
 * @returns the results, and whether they are of the whole bench.
 */
export async function runArms(names, seeds, settingOf) {
  const parts = names.map((part) => {
    const [arm, range] = part.split("=");
    const [from, to = from] = range.split("-").map(Number);
    return [arm, seeds.filter((seed) => seed >= from && seed <= to)];
  });
  const results = [];
  for (const [name, own] of parts.length > 0 ? parts : Object.keys(ARMS).map((arm) => [arm, seeds]))
    for (const seed of own) {
      process.stderr.write(`${name}, seed ${seed}\n`);
      const { arm, setting } = settingOf(ARMS[name]);
      results.push(await runArm(name, arm, { ...setting, seed }));
      console.log(JSON.stringify(results.at(-1)));
    }
  return { results, isWhole: parts.length === 0 };
}
