import { systemActor } from '../../rails/actor.js';
import type { Digest } from '../../rails/digest.js';
import { labelIdOf, type LabelTarget } from '../../rails/labels/target.js';
import type { RunPins } from '../../rails/pins.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import type { UtcMicros } from '../../rails/time.js';
import { contentOf, type Entry } from './assertion.core.js';
import { WORLD } from './label-store.policy.js';

/** A sealed row of labels, as the engine's port has it. */
export interface SealedLabel {
  readonly key: string;
  readonly is_fraud: boolean;
  readonly effective_at_utc: UtcMicros;
  readonly ts_utc: UtcMicros;
}

export const SEALED_LABEL_TYPE = 'fraud_disposition';

/** A sealed row and where it stands. */
export interface PlacedLabel {
  readonly sealed: SealedLabel;
  readonly row: number;
  readonly target: LabelTarget;
}

/** What the row is called in the ledger, whatever it says. */
export function sealedLabelId(
  { row, target }: Pick<PlacedLabel, 'row' | 'target'>,
  pins: RunPins,
  outputId: string,
): Digest {
  const handle = `${outputId}/${row}`;
  return labelIdOf({ pins, target, label_type: SEALED_LABEL_TYPE, namespace: WORLD, handle });
}

/**
 * The row as an entry of the ledger. Its handle is its place in the sealed output, so that the same row is the same label in every attempt;
 * it became known when the world says so, which was fixed before anything was decided.
 * @param supersedes what the world had said of the same event before
 */
export function sealedEntry(
  { sealed, row, target }: PlacedLabel,
  {
    pins,
    outputId,
    policyRev,
    supersedes,
  }: {
    readonly pins: RunPins;
    readonly outputId: string;
    readonly policyRev: PolicyRev;
    readonly supersedes: Digest | undefined;
  },
): Entry {
  const said = {
    label_value: sealed.is_fraud ? 'FRAUD_CONFIRMED' : 'LEGIT_CONFIRMED',
    effective_at_utc: sealed.effective_at_utc,
    ...(supersedes === undefined ? {} : { supersedes }),
  };
  return {
    pins,
    label: {
      label_id: sealedLabelId({ row, target }, pins, outputId),
      target,
      label_type: SEALED_LABEL_TYPE,
      ...said,
      source: { type: 'SYSTEM', namespace: WORLD, actor: systemActor('labels') },
      policy_rev: policyRev,
    },
    observed: sealed.ts_utc,
    evidence: undefined,
    content: contentOf({ ...said, observed_at_utc: sealed.ts_utc }),
    maySupersede: 'own',
  };
}

/** Which rows are published, one after the other in their sealed order. */
export class RowChoice {
  readonly #frauds = new Set<string>();

  constructor(private readonly publish: 'all' | 'fraud_and_corrections') {}

  wants({ key, is_fraud }: SealedLabel): boolean {
    if (this.publish === 'all') return true;
    if (is_fraud) this.#frauds.add(key);
    return is_fraud || this.#frauds.has(key);
  }
}
