import { createHash } from 'node:crypto';
import { type Digest } from '../../rails/digest.js';

/** An event of a run, on one side of the comparison: id, hash of the payload, digest of the content. */
export interface SideRow {
  readonly eventId: string;
  readonly payloadHash: Digest;
  readonly contentDigest: Digest;
}

/** Events per piece. A piece is sorted in some milliseconds, and a million events are sixty of them. */
const PIECE_ROWS = 16_384;
const DIGESTS_BYTES = 64;

/** A sorted piece, packed: the ids one after the other, the digests as bytes. A fifth of what objects would take. */
interface Piece {
  readonly ids: Buffer;
  /** Where each id ends. */
  readonly ends: Uint32Array;
  readonly digests: Buffer;
}

/**
 * Rows of the bus in any order in, by event id out: sorted in pieces as they come, merged at the end. A million events with
 * ids of 64 characters take about 130 MB.
 */
export class SortedRows {
  readonly #pieces: Piece[] = [];
  #open: SideRow[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(row: SideRow): void {
    this.#open.push(row);
    this.#count += 1;
    if (this.#open.length === PIECE_ROWS) this.#closePiece();
  }

  /** By event id, in the order of its bytes. Ends the collection. */
  *rows(): Generator<SideRow, void> {
    if (this.#open.length > 0) this.#closePiece();
    const heads = this.#pieces.map((piece) => ({ piece, at: 0, row: rowAt(piece, 0) }));
    while (heads.length > 0) {
      let least = 0;
      for (let index = 1; index < heads.length; index += 1)
        if ((heads[index]?.row.eventId ?? '') < (heads[least]?.row.eventId ?? '')) least = index;
      const head = heads[least];
      if (head === undefined) return;
      yield head.row;
      head.at += 1;
      if (head.at < head.piece.ends.length) head.row = rowAt(head.piece, head.at);
      else heads.splice(least, 1);
    }
  }

  #closePiece(): void {
    const sorted = this.#open.sort((a, b) => (a.eventId < b.eventId ? -1 : a.eventId > b.eventId ? 1 : 0));
    const ends = new Uint32Array(sorted.length);
    let end = 0;
    sorted.forEach(({ eventId }, index) => {
      end += eventId.length;
      ends[index] = end;
    });
    this.#pieces.push({
      // Event ids are ASCII by their schema.
      ids: Buffer.from(sorted.map(({ eventId }) => eventId).join(''), 'latin1'),
      ends,
      digests: Buffer.from(sorted.map(({ payloadHash, contentDigest }) => payloadHash + contentDigest).join(''), 'hex'),
    });
    this.#open = [];
  }
}

function rowAt({ ids, ends, digests }: Piece, index: number): SideRow {
  const hex = digests.toString('hex', index * DIGESTS_BYTES, (index + 1) * DIGESTS_BYTES);
  return {
    eventId: ids.toString('latin1', index === 0 ? 0 : ends[index - 1], ends[index]),
    payloadHash: hex.slice(0, 64) as Digest,
    contentDigest: hex.slice(64) as Digest,
  };
}

export interface Comparison {
  readonly admitted: number;
  readonly onBus: number;
  readonly setDigest: Digest;
  readonly missingOnBus: readonly string[];
  readonly notInLedger: readonly string[];
  readonly moreThanOnce: readonly string[];
  readonly otherContent: readonly string[];
  readonly reconciled: boolean;
}

const OFFENDERS_TOLD = 100;

type OffenderKind = 'missingOnBus' | 'notInLedger' | 'moreThanOnce' | 'otherContent';

/** Compares ledger and bus, both given by event id, in one walk: a merge join that keeps nothing but offenders. */
export class Comparer {
  readonly #hash = createHash('sha256');
  readonly #offenders = {
    missingOnBus: [] as string[],
    notInLedger: [] as string[],
    moreThanOnce: [] as string[],
    otherContent: [] as string[],
  };
  #faults = 0;
  #admitted = 0;
  #onBus = 0;
  readonly #bus: Iterator<SideRow, void>;
  #next: SideRow | undefined;
  #last: string | undefined;

  constructor(bus: Iterable<SideRow, void>) {
    this.#bus = bus[Symbol.iterator]();
    this.#next = this.#take();
  }

  /** The next admissions of the ledger, by event id. */
  ledger(rows: readonly SideRow[]): void {
    for (const row of rows) {
      this.#admitted += 1;
      while (this.#next !== undefined && this.#next.eventId < row.eventId) {
        this.#note('notInLedger', this.#next.eventId);
        this.#next = this.#take();
      }
      if (this.#next?.eventId !== row.eventId) {
        this.#note('missingOnBus', row.eventId);
        continue;
      }
      if (this.#next.contentDigest !== row.contentDigest || this.#next.payloadHash !== row.payloadHash)
        this.#note('otherContent', row.eventId);
      this.#next = this.#take();
    }
  }

  finish(): Comparison {
    while (this.#next !== undefined) {
      this.#note('notInLedger', this.#next.eventId);
      this.#next = this.#take();
    }
    return {
      admitted: this.#admitted,
      onBus: this.#onBus,
      setDigest: this.#hash.digest('hex') as Digest,
      ...this.#offenders,
      reconciled: this.#faults === 0,
    };
  }

  /** The next event of the bus; one that stands there again is told and passed over. */
  #take(): SideRow | undefined {
    for (;;) {
      const step = this.#bus.next();
      if (step.done === true) return undefined;
      const { value } = step;
      this.#onBus += 1;
      this.#hash.update(`${value.eventId} ${value.payloadHash}\n`);
      if (value.eventId !== this.#last) {
        this.#last = value.eventId;
        return value;
      }
      this.#note('moreThanOnce', value.eventId);
    }
  }

  #note(kind: OffenderKind, eventId: string): void {
    this.#faults += 1;
    const told = this.#offenders[kind];
    if (told.length < OFFENDERS_TOLD && told.at(-1) !== eventId) told.push(eventId);
  }
}
