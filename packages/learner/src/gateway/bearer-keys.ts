import { createHash, timingSafeEqual } from "node:crypto";
import { AgentError } from "@afterstate/core";
import { GatewayError } from "./gateway-error.js";

/** Who may use a gateway. */
export interface BearerKeys {
  /** Whether a key is asked for. */
  readonly required: boolean;
  /** The scope of the request's key: sessions, users and completions of one scope are never another's. @throws GatewayError 401. */
  scopeOf(authorization: string | undefined): string;
}

const OPEN_SCOPE = "local";
const SHORTEST_KEY = 8;
const SCOPE_LENGTH = 12;

/**
 * Keeps keys as their SHA-256 and compares all of them in constant time. A scope is part of another hash of its key, so that it is the same
 * after a restart and gives nothing away. Without any key everybody is let in, under one scope.
 *
 * @throws AgentError `gateway/bad-option`.
 */
export function bearerKeys(keys: readonly string[]): BearerKeys {
  if (keys.some((key) => !new RegExp(`^[\\x21-\\x7e]{${SHORTEST_KEY},}$`).test(key))) {
    const message = `a key has at least ${SHORTEST_KEY} characters, none of them white space or outside of ASCII`;
    throw new AgentError("gateway/bad-option", message);
  }
  const known = keys.map((key) => ({
    hash: sha256(key),
    scope: `k${sha256(`scope ${key}`).toString("hex").slice(0, SCOPE_LENGTH)}`,
  }));
  return {
    required: known.length > 0,
    scopeOf(authorization) {
      if (known.length === 0) return OPEN_SCOPE;
      const presented = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
      const hash = sha256(presented ?? "");
      let scope: string | undefined;
      for (const one of known) if (timingSafeEqual(one.hash, hash)) scope = one.scope;
      if (presented !== undefined && scope !== undefined) return scope;
      const message =
        presented === undefined
          ? "this gateway asks for a key; send it as Authorization: Bearer …"
          : "the key is not known here; check it";
      throw new GatewayError(401, message, { apiCode: "invalid_api_key" });
    },
  };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest();
