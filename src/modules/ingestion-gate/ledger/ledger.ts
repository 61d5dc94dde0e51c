import { type Digest } from '../../../rails/digest.js';
import { type Candidate } from '../ingestion-gate.core.js';
import { type Intake, type Place, type Quarantine } from '../receipts.core.js';

/** An event that is to be admitted, with the numbers that stand for its run and kind in the ledger. */
export interface NewAdmission {
  readonly candidate: Candidate;
  readonly intakeId: number;
  readonly run: number;
  readonly kind: number;
  readonly partition: number;
  /** Trace of the call that brought it, for the record. */
  readonly headers: Readonly<Record<string, string>>;
  readonly supersedes?: Digest;
}

export interface NewDuplicate {
  readonly receiptId: Digest;
  readonly admissionId: Digest;
  readonly intakeId: number;
  readonly run: number;
  readonly position: number;
  readonly supersedes?: Digest;
}

export interface NewQuarantine extends Quarantine {
  readonly intakeId: number;
  readonly rawDigest: Digest;
  readonly lineStart: number;
  readonly lineEnd: number;
}

/** Everything that one batch writes. */
export interface LedgerWork {
  readonly intakes: readonly Intake[];
  readonly admissions: readonly NewAdmission[];
  readonly duplicates: readonly NewDuplicate[];
  readonly quarantines: readonly NewQuarantine[];
}

/** What stands under an identity. `place` is null while another gate is about to append it. */
export interface Standing {
  readonly contentDigest: Digest;
  readonly place: Place | null;
  /** Topic of the intake that admitted it. */
  readonly topic: string;
}

/**
 * How an event reaches bus and ledger so that it stands on both once (law R6). Two lanes: one for a bus that commits
 * together with the ledger, one for a bus that does not.
 */
export interface Lane {
  standing(ids: readonly Digest[]): Promise<ReadonlyMap<Digest, Standing>>;
  /**
   * Makes the whole batch true at once, or nothing of it. Answers where each admission stands, in their order; null when
   * an identity has been taken since `standing` was asked: ask again.
   */
  commit(work: LedgerWork): Promise<readonly Place[] | null>;
  /** Before the first batch: finishes what gates that are gone have left. */
  open(): Promise<void>;
  /** Of events between reservation and admission. */
  pending(): { readonly ambiguous: number; readonly oldestAgeMs: number };
  close(): Promise<void>;
}
