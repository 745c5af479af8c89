import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";

interface Lock {
  readonly packages: Readonly<Record<string, { version?: string; optional?: boolean; link?: boolean }>>;
}
interface Prepare {
  nodeTooOld(version: string, range: string): string | undefined;
  whyInstall(lock: Lock, installed: Lock | undefined): string | undefined;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const { nodeTooOld, whyInstall } = (await import(
  pathToFileURL(join(root, "scripts", "prepare.mjs")).href
)) as unknown as Prepare;

describe("whyInstall", () => {
  const lock: Lock = {
    packages: {
      "": { version: "1.0.0" },
      "node_modules/a": { version: "1.0.0" },
      "node_modules/ours": { link: true },
      "node_modules/for-another-machine": { version: "2.0.0", optional: true },
    },
  };
  const without = (path: string): Lock => ({
    packages: Object.fromEntries(Object.entries(lock.packages).filter(([name]) => name !== path)),
  });

  it("finds nothing to do when everything is there, or missing for another machine only", () => {
    expect(whyInstall(lock, lock)).toBeUndefined();
    expect(whyInstall(lock, without("node_modules/for-another-machine"))).toBeUndefined();
  });

  it("names what is missing or of another version", () => {
    expect(whyInstall(lock, undefined)).toBe("no dependencies are installed yet");
    expect(whyInstall(lock, without("node_modules/a"))).toBe("package-lock.json has changed (node_modules/a)");
    expect(whyInstall(lock, without("node_modules/ours"))).toBe("package-lock.json has changed (node_modules/ours)");
    const older: Lock = { packages: { ...lock.packages, "node_modules/a": { version: "0.9.0" } } };
    expect(whyInstall(lock, older)).toBe("package-lock.json has changed (node_modules/a)");
  });

  it("finds nothing to do in the repository that runs this test", () => {
    const read = (path: string) => JSON.parse(readFileSync(join(root, path), "utf8")) as Lock;
    expect(whyInstall(read("package-lock.json"), read("node_modules/.package-lock.json"))).toBeUndefined();
  });
});

describe("nodeTooOld", () => {
  it("compares number by number", () => {
    for (const version of ["20.19.0", "20.20.2", "22.0.0", "100.0.0"]) {
      expect(nodeTooOld(version, ">=20.19.0")).toBeUndefined();
    }
    for (const version of ["18.20.4", "20.9.0", "20.18.3"]) {
      expect(nodeTooOld(version, ">=20.19.0")).toBe(
        `Afterstate needs Node 20.19.0 or newer, and this is Node ${version}; install a newer one from nodejs.org and run the same command again.`,
      );
    }
  });
});
