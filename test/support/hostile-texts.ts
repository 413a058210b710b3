// SPDX-License-Identifier: Apache-2.0

/** Values that would be something else in a file that is pasted together. */
export const HOSTILE_TEXTS = [
  'x"\nallow_privileged = "yes',
  '"]\n[openshell.gateway.auth]\nx = "',
  "'''",
  '"""',
  'a\\b',
  '\u001b[2J\u0007\u007f\u0085',
  '𝄞 Ünï\u2028',
  '',
  'x'.repeat(65_536),
];
