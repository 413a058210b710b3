// SPDX-License-Identifier: Apache-2.0

/** What `docker buildx inspect` says. It has no structured form, so the one row that matters is read. */

/** The driver of a builder, such as `docker` or `docker-container`; however the column is padded. */
export function parseBuilderDriver(text: string): string | undefined {
  return /^Driver:[ \t]+(\S+)/m.exec(text)?.[1];
}
