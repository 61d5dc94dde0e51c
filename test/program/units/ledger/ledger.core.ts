/** A deposit as it stands on the bus. */
export interface Deposit {
  readonly deposit_id: string;
  readonly account: string;
  readonly minor_units: number;
}

export interface Change {
  readonly account: string;
  readonly minorUnits: number;
  readonly deposits: number;
}

/** One change per account of a batch: the order of deposits does not matter to a sum (law R11). */
export function changesOf(deposits: readonly Deposit[]): readonly Change[] {
  const changes = new Map<string, Change>();
  for (const { account, minor_units } of deposits) {
    const before = changes.get(account);
    changes.set(account, {
      account,
      minorUnits: (before?.minorUnits ?? 0) + minor_units,
      deposits: (before?.deposits ?? 0) + 1,
    });
  }
  return [...changes.values()];
}
