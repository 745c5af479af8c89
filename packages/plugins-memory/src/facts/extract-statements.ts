import { type Clause, clausesOf } from "./clauses.js";
import { leadingName } from "./name.js";
import { type Statement, slotName } from "./statement.js";
import { thirdPerson } from "./third-person.js";

const LEAD_IN =
  /^(?:(?:hi|hello|hey|dear|yes|yeah|no|nope|ok|okay|well|so|oh|and|but|also|actually|sorry|thanks|thank you|please|by the way|btw|fyi|again|there|now|just|good (?:morning|afternoon|evening)|just so you know|(?:you should )?(?:note|know) that)(?![\p{L}'’])[\s,!:—–-]*)+/iu;
const MY_NAME = /^my (?:first |full |real |given )?name(?: is|['’]s)(?: actually| now)? +/iu;
const I_AM = /^(?:i am|i['’]m)(?: called| named)? +/iu;
const CALL_ME =
  /^(?:(?:you|everyone|everybody|people|friends|my friends) (?:can |may |should )?)?(?:just |please )?calls? me +/iu;
const MY_SLOT =
  /^my (?<slot>(?:[\p{L}\p{N}'’-]+ ){0,3}?[\p{L}\p{N}'’-]+) (?<verb>is|are|isn['’]t|aren['’]t)(?<not> not| no longer)?(?: now| actually| currently| still)? +(?<value>\S.*)$/iu;
const REQUEST = "(?:(?:can|could|would|will) you )?(?:please )?(?:just |also |always )?";
const REMEMBER = new RegExp(
  String.raw`^${REQUEST}(?:remember|(?:don['’]t|do not|never) forget)(?:,? that|:|,?(?= (?:my|i|i['’]m)(?!\p{L}))) +(?<fact>.+)$`,
  "iu",
);
const FORGET = new RegExp(`^${REQUEST}forget (?:about )?(?<what>.+)$`, "iu");
const FORGET_MY =
  /^(?:that )?my (?<slot>(?:[\p{L}\p{N}'’-]+ ){0,3}?[\p{L}\p{N}'’-]+)(?: (?:is|are)(?!\p{L}).*| please| now| again)?$/iu;
const FORGET_EVERYTHING =
  /^(?:everything|all)(?: (?:that )?(?:you know|you remember|i (?:have )?(?:said|told you)))?(?: about me)?$/iu;

/** "My question is …" tells of the conversation, not of the user. */
const NOT_SLOTS =
  /^(?:.* )?(?:question|questions|point|guess|problem|issue|concern|idea|understanding|answer|suggestion|request|mistake|bad|apologies|fault|plan|thought|thoughts|hope|code|task|input|output|error|message|result)$/u;
const NOT_VALUES = /^(?:that|what|how|why|whether|if|because|when|where|as follows|this|it|the following)(?!\p{L})/iu;
const LONGEST_VALUE = 200;

/** The statements in what a user said, in order. Text that states nothing about the user gives none. */
export function extractStatements(said: string): readonly Statement[] {
  return clausesOf(said).flatMap(statementsOfSentence);
}

function statementsOfSentence(clauses: readonly Clause[]): readonly Statement[] {
  const statements: Statement[] = [];
  for (const clause of clauses) {
    const fact = REMEMBER.exec(withoutLeadIn(clause.rest))?.groups?.fact;
    if (fact !== undefined) return [...statements, ...rememberedStatements(fact)];
    const statement = statementOf(clause);
    if (statement !== undefined) statements.push(statement);
  }
  return statements;
}

/** What follows "remember that": its clauses one by one when each is a statement by itself, else the whole as one fact. */
function rememberedStatements(fact: string): readonly Statement[] {
  const clauses = clausesOf(fact).flat();
  const statements = clauses.map(statementOf).filter((statement) => statement !== undefined);
  return statements.length === clauses.length ? statements : [{ kind: "fact", text: thirdPerson(fact) }];
}

function statementOf(clause: Clause): Statement | undefined {
  const text = withoutLeadIn(clause.text);
  const name = statedName(text);
  if (name !== undefined) return { kind: "fact", slot: "name", text: thirdPerson(`my name is ${name}`) };
  const what = FORGET.exec(text)?.groups?.what;
  if (what !== undefined) return forgetStatement(what);
  return clause.isQuestion ? undefined : slotStatement(text);
}

function statedName(text: string): string | undefined {
  for (const [pattern, announced] of [
    [MY_NAME, true],
    [I_AM, false],
    [CALL_ME, false],
  ] as const) {
    const lead = pattern.exec(text)?.[0];
    if (lead !== undefined) return leadingName(text.slice(lead.length), announced);
  }
  return undefined;
}

function slotStatement(text: string): Statement | undefined {
  const { slot: words, verb, not, value } = MY_SLOT.exec(text)?.groups ?? {};
  if (words === undefined || verb === undefined || value === undefined) return undefined;
  const slot = slotName(words);
  if (NOT_SLOTS.test(slot) || NOT_VALUES.test(value) || value.length > LONGEST_VALUE) return undefined;
  const positive = verb.replace(/n['’]t$/u, "");
  const fact = thirdPerson(`my ${words} ${positive} ${value}`);
  if (not !== undefined || positive !== verb) return { kind: "denial", slot, text: fact };
  // A name that was not recognised as one ("my name is hard to spell") is no value of the slot.
  return slot === "name" ? undefined : { kind: "fact", slot, text: fact };
}

function forgetStatement(what: string): Statement | undefined {
  if (FORGET_EVERYTHING.test(what)) return { kind: "forget-everything" };
  const slot = FORGET_MY.exec(what)?.groups?.slot;
  if (slot !== undefined) return { kind: "forget-slot", slot: slotName(slot) };
  const fact = /^that (?<fact>.+)$/iu.exec(what)?.groups?.fact;
  return fact === undefined ? undefined : { kind: "forget-text", text: thirdPerson(fact) };
}

function withoutLeadIn(text: string): string {
  return text.replace(LEAD_IN, "");
}
