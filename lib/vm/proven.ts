// SPDX-License-Identifier: Apache-2.0

/** A bundle that is there already and was looked at. */
export interface ProvenBundle {
  readonly size: number;
  readonly compressedSize: number;
  readonly verified: string;
  /** When it was written. */
  readonly date: Date;
}
