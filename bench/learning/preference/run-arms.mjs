// Arms by seeds, one after the other, as the command line of a bench names them.
import { ARMS } from "./arms.mjs";
import { runArm } from "./run-arm.mjs";

/**
 * Prints a result a line, of all arms and seeds, or of the parts that are named: `hybrid=1-3`.
 *
 * @param settingOf the arm as it is run, its setting, and notes that its results keep, from the arm.
 * @param known results that there are already, which are not run again.
 * @returns the results, and whether they are of the whole bench.
 */
export async function runArms(names, seeds, settingOf, known = []) {
  const parts = names.map((part) => {
    const [arm, range] = part.split("=");
    const [from, to = from] = range.split("-").map(Number);
    return [arm, seeds.filter((seed) => seed >= from && seed <= to)];
  });
  const results = [...known];
  const cells = (parts.length > 0 ? parts : Object.keys(ARMS).map((arm) => [arm, seeds])).flatMap(([name, own]) =>
    own.map((seed) => ({ name, seed })),
  );
  const isNew = ({ name, seed }) => !known.some((result) => result.arm === name && result.seed === seed);
  // A seed of all arms first: what is there of a bench that was cut off can be compared.
  for (const { name, seed } of cells.filter(isNew).sort((a, b) => a.seed - b.seed)) {
    process.stderr.write(`${name}, seed ${seed}\n`);
    const { arm, setting, notes } = settingOf(ARMS[name]);
    results.push({ ...(await runArm(name, arm, { ...setting, seed })), ...notes });
    console.log(JSON.stringify(results.at(-1)));
  }
  return { results, isWhole: parts.length === 0 };
}
