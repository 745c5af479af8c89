import type { Random } from "@afterstate/core";

/** First names for pre-training: the policy learns to copy whichever name it is told. */
export const TRAINING_NAMES: readonly string[] =
  "Adam Agnes Aisha Alan Albert Alex Alice Amir Amy Ana Andre Andy Anita Anton April Arjun Arthur Asha Astrid Ava Barbara Beatriz Ben Bella Bianca Boris Brenda Brian Bruno Camila Carl Carmen Carol Cathy Cecil Chen Chloe Chris Clara Claude Colin Cora Daisy Dan Daniel Daria David Dawn Dean Diana Diego Dora Doris Dylan Edgar Edith Eduardo Ella Ellen Elsa Emil Emma Eric Erika Esther Eva Ewan Faith Farid Felix Fiona Flora Frank Freya Gabriel Gary Gemma George Gina Gita Glen Grace Greta Gus Hana Hans Harry Hassan Hazel Heidi Helen Henry Hilda Hiro Holly Hugo Ian Ida Igor Ingrid Irene Iris Isaac Ivan Jack Jacob James Jane Jason Javier Jean Jenny Jill Joan Joe John Jonas Jorge Josef Joy Juan Judy Julia Kai Kamal Karen Karl Kate Kenji Kevin Kim Klaus Kurt Lara Lars Laura Leah Leila Leon Lena Lewis Lily Linda Lisa Liz Lola Louis Lucia Lucy Luis Luke Lydia Mabel Maria Marco Marie Mark Marta Martin Mary Mateo Matt Maya Mia Mick Miguel Mina Mohan Mona Nadia Nancy Naomi Neil Nick Nico Nina Noah Noel Nora Olaf Olga Oliver Omar Oscar Otto Pablo Paul Paula Pedro Penny Peter Petra Phil Priya Rahul Ralph Ravi Ray Rebecca Rita Robert Roger Roman Rosa Roy Ruth Ryan Sally Sam Sara Sasha Sean Selma Simon Sofia Sonia Stan Stella Steve Sue Sven Tara Ted Teresa Theo Thomas Tim Tina Tom Tony Ulla Uma Vera Vic Victor Violet Walter Wanda Wendy Will Xenia Yara Yoko Yusuf Zack Zara Zoe".split(
    " ",
  );

/** First names of simulated users: none of them was seen in pre-training. */
export const USER_NAMES: readonly string[] =
  "Abel Alma Anne Axel Bea Bert Celia Cleo Dario Della Dina Elias Enzo Etta Ezra Fay Finn Gail Hale Hank Inez Jade Jarek Jonah June Kara Kira Lou Lionel Magda Milo Mira Ned Nell Odette Orla Pia Quinn Ramon Rhea Rolf Seth Silas Tess Ursula Vito Wilma Yves Zeno Zita".split(
    " ",
  );

/** A name for pre-training: six in ten are made of random syllables, so that copying is learned and not the list. */
export function drawTrainingName(random: Random): string {
  if (random.next() < 0.4) return random.pick(TRAINING_NAMES);
  const syllables = Array.from({ length: 1 + random.integer(3) }, () => {
    const onset = random.next() < 0.85 ? random.pick([..."bcdfghjklmnpqrstvwxyz"]) : "";
    const coda = random.next() < 0.35 ? random.pick([..."dfklmnrstxz"]) : "";
    return onset + random.pick([..."aeiouy"]) + coda;
  });
  const name = syllables.join("");
  return name[0]!.toUpperCase() + name.slice(1);
}
