import { ASPECT, DOUBT, NO_ASPECT, TYPO_TARGETS, VERDICT_WORDS } from "./lexicon.js";

/** What a clause of a user's reply does. */
export type ClauseKind = "verdict" | "instruction" | "question" | "task" | "statement";

/** One clause of a reply: a sentence, or a part of one that stands for itself ("No, | it's 24, | but use the calculator"). */
export interface Clause {
  readonly kind: ClauseKind;
  /** The user's own words, without lead-in ("and", "can you") and final punctuation. */
  readonly text: string;
  /** Lower case, straight apostrophes, no punctuation, common typos corrected. */
  readonly words: string;
  /** It followed a "but". */
  readonly contrast: boolean;
}

const SENTENCE_END =
  /(?<=[.!?;…])(?<!\b(?:mr|mrs|ms|dr|prof|st|e\.g|i\.e|vs|etc)\.)["')\]]*\s+|\n+|(?<=[!?])(?=\p{L})|(?<=\.\.\.?)(?=\p{L})|(?<=\p{L})\s+[-–—]+\s+(?=\p{L})/giu;
const PIECE_END = /,\s+|\s+(?=(?:but|however|though|although|except)\b)/i;
const CONTRAST = /^(?:but|however|though|although|except)\b[,\s]*/i;
const LEAD_IN =
  /^(?:and|but|so|also|then|ok|okay|well|hey|hmm?|oh|um|again|now|however|though|i (?:said|told you|asked you)(?: (?:to|that))?|like i said|as i said|(?:can|could|would|will|can't|couldn't) (?:you|u)(?: please)?(?: just)?(?= )|would you mind|i would be glad if you|you (?:can|could|might) just(?= ))[,\s]+/i;
const VERDICT_START =
  /^(no+|nope|nah|wrong|incorrect|thanks|thank you|thx|cheers|ok|okay|great|good|nice|yes|yeah|fine|perfect|cool|lovely|correct|right)\s+(.+)$/is;
const QUESTION_WORD =
  /^(?:what|what's|whats|how|how's|who|who's|whose|whom|when|where|where's|which|why|is|are|am|was|were|do|does|did|has|have|had|isn'?t|aren'?t|wasn'?t|don'?t you|doesn'?t|didn'?t|shall|should (?:i|we|it)|shouldn'?t|may i|can|could|would|will) /;
const FROM_NOW_ON = /\b(?:next time|from now on|in (?:the )?future|going forward)\b/;
const NO_DUTY = /^you (?:must|have to|'?ve got to) be (?:joking|kidding|mad|crazy|wrong|mistaken|right)\b/;
const WHY_NOT_YOU = /^why (?:didn'?t|don'?t|did not|do not|not|haven'?t|can'?t) (?:you )?(?:just )?/i;

const STRONG =
  /^(?:(?:please|pls|plz) )?(?:don'?t|do not|never|always|stop|skip|omit|avoid|drop|leave (?:out|off|away)|cut (?:out|the|it)|remove the|no need|less|without|with (?:the|a|my|your|more|less|full)|more|remember|make sure|be sure|keep|stick to|stick with|use|call me|address me|refer to me|greet me|say|speak|talk|be|start with|begin with|end with|finish with|next time|from now on|in (?:the )?future|for next time|going forward|shorter|longer|simpler|briefer|slower|step by step|get to the point|just the|just a|only the|only a|instead of)\b/;
const STRONG_EXCEPT =
  /^(?:(?:please|pls) )?(?:don'?t (?:worry|know|care|think|get it|understand|agree|see|mind|be sorry)|never mind|more (?:than|like it|please)$|be right back|keep going|keep it up|say (?:again|that again)|use \d|more \w+s$)|^just (?:a|the) (?:sec|second|moment|minute|same|thing)/;
const JUST = /^(?:(?:please|pls) )?(?:just|only|simply)\b/;
const JUST_EXCEPT =
  /^(?:just|only) (?:curious|wondering|checking|asking|kidding|saying|fine|right|perfect|great|what|one more|now|got|saw|like that|in time|thinking|because|if|when|how|\d)/;
const WISH =
  /^i(?: would|'?d)? (?:really |still |also )?(?:prefer|rather|like it (?:better|more|best|when)|only (?:want|need|wanted|care))\b|^i(?:'?d| would| do)?(?: not|n'?t)? (?:really |only |just |still |also |don'?t |do not )*(?:want|need|like|wish|expect|wanted|needed|expected|love)\b/;
const WISH_CERTAIN =
  /^i(?: would|'?d)? (?:prefer|rather|like it (?:better|more|best|when)|only)|\b(?:you to|want to see|like to see|want to know how|it when you|if you|when you|less|more|only|just)\b/;
const YOU_SHOULD =
  /^you (?:should|shouldn'?t|need to|needn'?t|must|mustn'?t|have to|ought to|had to|could have|don'?t (?:have|need) to|do not (?:have|need) to|forgot|forget|didn'?t|did not|left (?:out|off)|missed|skipped|never|(?:were|are) supposed to|'?re supposed to|always forget|keep forgetting)\b/;
const MANNER_VERB =
  /^(?:(?:please|pls|plz) )?(?:always |at least |better )?(?:show|give|tell|write|put|add|include|explain|answer|reply|respond|return|send|list|format|round|spell|state|name|check|double[- ]?check|verify|do|work|make|think|walk|take|describe|cite|quote|print|output|express|mention|set out|break|begin|start|end|finish|try to|slow|simplify|shorten|rephrase|reword|rewrite|trim|explaining|giving|showing|using|adding|telling|writing)\b/;
const ABOUT_THE_ANSWER =
  /\b(?:it|them|your|yourself|how you|as well|each time|every time|(?:slow|it) down|step by step|before (?:you|answering)|my name|instead)\b|^(?:(?:please|pls|plz) )?(?:explain|simplify|shorten|rephrase|reword)(?: please)?$|^(?:(?:please|pls|plz) )?(?:add|include|mention|adding|giving|explaining) (?:the|a|an|some|my)\b(?!.* to )/;
const ARITHMETIC = /\d\s*(?:[+\-*/x×÷%^=]|plus|minus|times|divided by|mod|and)\s*\d/;
const FRAGMENT =
  /^(?:in|as|with|without|no|by|using) (?:\S+ ){0,4}\S+$|^\S+(?: \S+){0,2} only$|^\S{3,}er$|^(?:in|as) an? (?:\S+ ){0,3}\S+$/;
const FRAGMENT_EXCEPT = /^(?:yes|no|another|one more|next|again|help|go on|continue|more|try|once)$|\bagain\b/;
const TASK_VERB =
  /^(?:(?:please|pls|plz|now|then|next|also) )*(?:compute|calculate|add|subtract|multiply|divide|split|sum|convert|translate|write|draft|find|book|order|plan|summari[sz]e|name|list|spell|suggest|recommend|tell|give|show|make|get|send|open|run|check|search|look|create|draw|read|help|set|remind|buy|play|explain|describe|solve|work out|count|compare|pick|choose|rank|sort|fix|try|do|let's|lets|define|estimate|factor|simplify|prove|cancel|schedule|design|build|generate|swap|replace|change|another|one more)\b/;

/** Splits a reply into clauses and says what each does. Empty for a reply without words. */
export function readClauses(reply: string): readonly Clause[] {
  const clauses: Clause[] = [];
  for (const sentence of reply.replace(/[’‘`´]/g, "'").split(SENTENCE_END)) {
    const asked = /\?["')\]]*\s*$/.test(sentence);
    const parts: { text: string; contrast: boolean }[] = [];
    for (const piece of sentence.split(PIECE_END)) {
      const contrast = CONTRAST.test(piece.trim());
      const text = piece.trim().replace(CONTRAST, "");
      if (wordsOf(text) === "" && !/\p{Extended_Pictographic}/u.test(text)) continue;
      const last = parts.at(-1);
      if (last === undefined || startsAnew(last.text, text, contrast)) parts.push({ text, contrast });
      else last.text += `, ${text}`;
    }
    for (const [index, { text, contrast }] of parts.entries())
      clauses.push(...classify(text, contrast, asked && index === parts.length - 1));
  }
  return clauses;
}

/** Lower case, no punctuation but that inside words and numbers, common typos corrected. */
export function wordsOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[’‘`´]/g, "'")
    .replace(/[^\p{L}\p{N}'%+\-*/×÷^=.,]+/gu, " ")
    .replace(/[.,'-]+(?=\s|$)|(?<=\s|^)[.,'-]+(?=[\s\p{L}]|$)|,(?!\d)/gu, " ")
    .trim()
    .split(/\s+/)
    .map(withoutTypo)
    .join(" ");
}

function startsAnew(before: string, piece: string, contrast: boolean): boolean {
  if (contrast || isVerdict(wordsOf(before))) return true;
  const words = wordsOf(withoutLeadIn(piece));
  if (QUESTION_WORD.test(`${wordsOf(piece)} `)) return true;
  const instructs = isInstruction(words);
  return instructs ? !isInstruction(wordsOf(withoutLeadIn(before))) : isVerdict(words) && words !== "please";
}

function classify(text: string, contrast: boolean, asked: boolean): Clause[] {
  const trimmed = text.replace(/[\s.!?;:,…"']+$/u, "").replace(/^["'\s]+/, "");
  const words = wordsOf(trimmed);
  const clause = (kind: ClauseKind, own = trimmed): Clause => ({ kind, text: own, words: wordsOf(own), contrast });
  if (isVerdict(words)) return [clause(asked && DOUBT.test(words) ? "question" : "verdict")];
  const whyNot = WHY_NOT_YOU.exec(trimmed);
  if (whyNot && isInstruction(wordsOf(trimmed.slice(whyNot[0].length))))
    return [clause("instruction", trimmed.slice(whyNot[0].length))];
  const bare = withoutLeadIn(trimmed);
  const doing = TASK_VERB.test(wordsOf(bare));
  const instructs = isInstruction(wordsOf(bare)) || (doing && (contrast || FROM_NOW_ON.test(words)));
  if (instructs && !(asked && QUESTION_WORD.test(`${wordsOf(bare)} `))) return [clause("instruction", bare)];
  const afterVerdict = VERDICT_START.exec(trimmed);
  const rest = afterVerdict && withoutLeadIn(afterVerdict[2]!);
  if (afterVerdict && rest && isInstruction(wordsOf(rest)))
    return [clause("verdict", afterVerdict[1]!), clause("instruction", rest)];
  const asks =
    QUESTION_WORD.test(`${words} `) || (/^(?:so|and|but) /.test(words) && QUESTION_WORD.test(`${wordsOf(bare)} `));
  if (asked || (asks && !/^should (?:be|have)/.test(words))) return [clause("question")];
  if (TASK_VERB.test(words) || (ARITHMETIC.test(words) && !/[=]|\b(?:is|it's|equals)\b/.test(words)))
    return [clause("task")];
  return [clause("statement")];
}

function isVerdict(words: string): boolean {
  if (words === "") return true;
  const tokens = words.split(" ");
  if (tokens.every((token) => VERDICT_WORDS.has(token))) return true;
  return tokens.length <= 3 && /^(?:thanks|thank|thx|cheers|ty)$/.test(tokens[0]!);
}

function isInstruction(words: string): boolean {
  if (NO_DUTY.test(words)) return false;
  if (STRONG.test(words) && !STRONG_EXCEPT.test(words)) return true;
  if (JUST.test(words) && !JUST_EXCEPT.test(words) && words.includes(" ")) return true;
  if (NO_ASPECT.test(words)) return true;
  if (WISH.test(words) && (WISH_CERTAIN.test(words) || ASPECT.test(words))) return true;
  if (YOU_SHOULD.test(words)) return true;
  if (MANNER_VERB.test(words) && !ARITHMETIC.test(words) && (ASPECT.test(words) || ABOUT_THE_ANSWER.test(words)))
    return !/\b(?:an? (?:\w+ )?(?:poem|story|joke|song|email|letter)|about|another|try again|do it again)\b/.test(
      words,
    );
  const fragment = words.replace(/\s*\b(?:please|pls|plz)\b\s*/g, " ").trim();
  const polite = fragment !== words;
  if (FRAGMENT_EXCEPT.test(fragment) || fragment.split(" ").length > 5 || TASK_VERB.test(fragment)) return false;
  return polite ? FRAGMENT.test(fragment) || ASPECT.test(fragment) : FRAGMENT.test(fragment) && ASPECT.test(fragment);
}

function withoutLeadIn(text: string): string {
  let rest = text;
  for (let found = LEAD_IN.exec(rest); found && found[0].length < rest.length; found = LEAD_IN.exec(rest))
    rest = rest.slice(found[0].length);
  return rest;
}

function withoutTypo(token: string): string {
  if (token.length < 5 || VERDICT_WORDS.has(token)) return token;
  return TYPO_TARGETS.find((target) => isSlip(token, target)) ?? token;
}

/** One neighbouring pair swapped, one letter missing or doubled, or (from seven letters on) one letter replaced. */
function isSlip(token: string, target: string): boolean {
  if (token === target || token[0] !== target[0]) return false;
  const at = [...target].findIndex((letter, index) => token[index] !== letter);
  if (at < 0) return false;
  const difference = token.length - target.length;
  if (difference === -1) return token.slice(at) === target.slice(at + 1) && !(target === `${token}s`);
  if (difference === 1) return token[at] === token[at - 1] && token.slice(at + 1) === target.slice(at);
  if (difference !== 0) return false;
  const swapped =
    token[at] === target[at + 1] && token[at + 1] === target[at] && token.slice(at + 2) === target.slice(at + 2);
  return swapped || (target.length >= 7 && token.slice(at + 1) === target.slice(at + 1));
}
