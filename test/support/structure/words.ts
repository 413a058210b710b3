// SPDX-License-Identifier: Apache-2.0

/** The check of the words that the source uses. */

import { filesBelow, readSource } from './source.ts';

/** Words for which the suite has another one, in comments, names and messages, and what to say. */
const REPLACED: Readonly<Record<string, string>> = {
  door: 'runner',
  bench: 'task context, ctx',
  workbench: 'task context, ctx',
  meanwhile: 'another word, or none',
  proven: 'verified or existing',
  artefact: 'artifact',
  lack: 'reason',
};
const WORD = new RegExp(`\\b(${Object.keys(REPLACED).join('|')})\\b`, 'gi');

/** Where such a word stays, and why. */
const EXCEPTIONS: readonly { readonly text: string; readonly reason: string }[] = [
  { text: 'npm run bench', reason: 'the name of the script in package.json' },
];

/** Each use of a word that has been replaced. */
export function checkWords(root: string): string[] {
  return filesBelow(root).flatMap((path) =>
    readSource(root, path)
      .split('\n')
      .flatMap((line, index) => {
        const judged = EXCEPTIONS.reduce((text, exception) => text.replaceAll(exception.text, ''), line);
        return (judged.match(WORD) ?? []).map(
          (word) => `${path}:${index + 1}: the word '${word}'; say ${REPLACED[word.toLowerCase()]}`,
        );
      }),
  );
}
