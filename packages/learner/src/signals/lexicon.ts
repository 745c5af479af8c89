/** Words that alone make up a verdict, thanks or an interjection; a clause of nothing else carries no advice. */
export const VERDICT_WORDS: ReadonlySet<string> = new Set(
  `no nope nah nay non yes yep yeah yup ya yay ok okay k alright fine sure wrong right correct incorrect false true bad good great
  nice cool perfect exactly precisely awesome amazing brilliant excellent wonderful fantastic super superb lovely neat sweet spot
  on bingo bravo cheers thanks thank thx thnx ty tysm merci gracias danke you u so very much many a lot bunch million really totally
  absolutely completely quite ta genau not isn't isnt wasn't wasnt that thats that's it its it's this is was be can't cant cannot close
  almost nearly well done job work answer one lol haha hah hm hmm hmmm um uh oh ah aha wow ugh hey hi hello sorry again all
  appreciated helpful useless terrible awful nonsense rubbish rock star the my mistake bad i see got understood bye goodbye ooh
  worse worst better best finally still wait actually are were your you're youre works`
    .split(/\s+/)
    .filter(Boolean),
);

/** Parts and manners of an answer that people give instructions about. */
const ASPECT_WORDS =
  "names?|numbers?|digits?|figures?|answers?|results?|workings?|working out|work|steps?|reasoning|reasons?|calculations?|calculator|tools?|sentences?|words?|letters?|units?|decimals?|decimal places?|bullets?|bullet points?|lists?|tables?|details?|detail|explanations?|sources?|links?|references?|citations?|examples?|emojis?|tone|format|english|lines?|paragraphs?|markdown|code|titles?|short|shorter|longer|brief|briefer|concise|polite|formal|informal|friendl(?:y|ier)|simple|simpler|plain|clear|clearer|precise|specific|context|introduction|intro|greeting|summary|translation|currency|symbols?|jargon|filler|chatter|small talk|repetition|text|prose";
export const ASPECT = new RegExp(`\\b(?:${ASPECT_WORDS})\\b`);
export const NO_ASPECT = new RegExp(`^no (?:more )?(?:\\w+ ){0,2}(?:${ASPECT_WORDS})\\b`);

/** Praise. Checked after negated praise has been taken out. */
export const PRAISE: readonly RegExp[] = [
  /\b(?:perfect(?:ly)?|exactly|precisely|brilliant|awesome|amazing|excellent|wonderful|fantastic|superb?|lovely|great|bingo|bravo|terrific|marvell?ous|outstanding|impressive|genau|beautiful|flawless|fabulous|stellar)\b/,
  /\b(?:correct|accurate|spot on|well done|good (?:job|work|answer|one|plan|idea|choice|point|stuff|thinking|call)|nice(?:ly done)?|neat|yay|hooray|woohoo|yes!|you rock|you nailed it|nailed it|you'?re (?:a star|the best|awesome|a genius|a lifesaver)|love it|love (?:this|that)|i like (?:it|that|this)|makes? sense(?: now)?|helps|helped|helpful|useful|works|worked|that did (?:it|the trick)|did the trick|sounds good|looks good|can'?t complain|not bad|no problem|no complaints|couldn'?t be better|good enough|good|cool|sweet|tasty|solved|fixed it|got it)\b/,
  /\b(?:that'?s|thats|that is|it'?s|this is|you'?re|youre|you are|you were|was|is|yes|yep|yeah|all|absolutely|totally|quite|ah|oh) (?:\w+ly |all |so |quite )?right\b|^right$|^true$|^yes+$|^yep$|^yeah$|^yup$|\bjust what i|\bwhat i (?:needed|wanted|was looking for|asked for|meant)\b/,
  /👍|👌|❤|😀|😃|😄|😊|🙂|🎉|💯|🙌|👏|😍|✅/u,
];

/** Thanks: praise, but only politeness when a wish follows. */
export const THANKS =
  /\b(?:thanks|thank you|thank u|thx|thnx|tx|ty|tysm|cheers|ta|merci|gracias|danke|appreciated?|grateful|much obliged)\b|🙏/u;

/** Blame in so many words. */
export const BLAME: readonly RegExp[] = [
  /\b(?:wrong|incorrect|false|mistaken|inaccurate|untrue|nonsense|rubbish|garbage|useless|terrible|awful|horrible|dreadful|bad|worse|worst|stupid|dumb|ridiculous|pathetic|disappoint\w*|unhelpful|unacceptable|wtf|ugh|bullshit|crap|broken|annoying|hopeless|misleading|confusing)\b/,
  /\b(?:way off|off by|far off|miles off|made (?:a|another) mistake|made (?:an|another) error|you misunderstood|misread|you got (?:it|that|this) wrong|(?:can'?t|cannot|could ?n[o']?t) be (?:right|true|correct)|makes? no sense|too (?:long|short|much|many|little|complicated|verbose|wordy|vague|formal|detailed)|(?:way|far|much|rather|a bit|a little) too \w+|(?:must|have to|got to) be (?:joking|kidding|mistaken)|(?:read|seen|tried|had|have|heard|did|know) (?:it|that|this|them|those|one)? ?already|already (?:read|seen|tried|had|have|heard|did|know)|no es correcto|i (?:hate|dislike)|no way|try again|fail(?:s|ed|ing)?|crashes|still (?:wrong|not|no|broken|doesn'?t|isn'?t)|almost but|close but|missed the point|missing the point|not again|of no use|waste of)\b/,
  /\b(?:not|isn'?t|wasn'?t|aren'?t|weren'?t|ain'?t|doesn'?t|don'?t|didn'?t|does not|do not|did not|never|hardly|barely|nowhere near|far from|no)(?: \w+){0,3}? (?:right|correct|true|accurate|good|great|helpful|help|useful|work|works|quite|it|that|close|better|okay|ok|happy|satisfied|impressed|perfect|sense|like|love|answer|what i (?:asked|wanted|want|meant|said|need|needed|was|am)|look right|looks right|add up|the answer|the question|my question)\b|\bnot (?:really|quite|exactly|at all|even close)\b/,
  /^(?:no |but |sorry )*(?:it|that|this|they|he|she|there)(?:'s| is|'re| are| was| were| does| do| did)?(?: not|n'?t)$|^(?:it|that|this|they) (?:isn'?t|aren'?t|doesn'?t|don'?t|didn'?t|wasn'?t|weren'?t|can'?t|won'?t)$/,
];
/** Signs of displeasure, which mean it in a question, too. */
export const BLAMING_SIGN = /👎|😡|😠|🤬|🙄|😞|❌|😤/u;
/** What looks like blame and is none. */
export const NOT_BLAME =
  /\b(?:not bad|not wrong|nothing wrong|no problem|no worries|no complaints|can'?t complain|couldn'?t be (?:better|happier)|i (?:was|am) wrong|i'?m wrong|my (?:bad|mistake)|not that bad|never been better|can'?t go wrong|don'?t worry|no doubt|not a problem|wrong of me)\b/g;
/** A bare no: blame, unless what follows it praises. */
export const BARE_NO = /^(?:(?:haha|lol|um|uh|oh|well|hm+|ah|sorry|but|ugh) )*(?:no+|nope|nah|nay|non|no no|no no no)$/;
/** A question that doubts the answer. */
export const DOUBT =
  /\b(?:are you (?:really |quite )?sure|you sure|really|is that (?:really )?(?:right|correct|true)|seriously|are you kidding|you kidding|come on)\b|^(?:what|huh|eh|excuse me)$/;

/** A question about the answer given, not a new one. */
export const FOLLOW_UP =
  /^(?:(?:but|and|ok|hm+|oh|um) )*(?:why|how come|how so|how did you|how do you know|how is that|what do you mean|what does (?:that|this|it) mean|what'?s that mean|says who|since when|as of (?:which|what|when)|according to|sources?$|meaning|which one|are you|you sure|is that|isn'?t|wasn'?t|aren'?t|shouldn'?t|doesn'?t|didn'?t|don'?t)\b|^(?:(?:what|huh|eh|really|sure|seriously|right|ok|yes|no|and|so) ?)+$/;

/** Words that are corrected to when a letter is swapped, missing or doubled. */
export const TYPO_TARGETS: readonly string[] =
  `wrong right thanks perfect perfectly exactly correct incorrect great awesome brilliant amazing excellent wonderful calculator
  please answer answers number numbers sentence sentences working terrible useless mistake`.split(/\s+/);
