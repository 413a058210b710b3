// SPDX-License-Identifier: Apache-2.0

/** A name that would break a line, move the cursor, or reach a shell. */

/** A line break, an escape sequence, a tab, C1, line separators, text that runs backwards, quotes. */
export const HOSTILE = "a\n'$(touch pasted)'\u001b[2J\t\r\u0085\u2028\u2029\u202e`touch pasted`\"b";

/** What no line that is printed has in it. */
export const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202e]/u;
