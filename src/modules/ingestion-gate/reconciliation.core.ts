import { createHash } from 'node:crypto';
import { type Digest } from '../../rails/digest.js';

/** An event of a run, on one side of the comparison: id, type, hash of the payload, digest of the content. */
export interface SideRow {
  readonly eventId: string;
  readonly eventType: string;
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
  /** Numbers of the types; a run has a handful. */
  readonly types: Uint8Array;
}

/**
 * Rows of the bus in any order in, by event id out: sorted in pieces as they come, merged at the end. A million events with
 * ids of 64 characters take about 130 MB.
 */
export class SortedRows {
  readonly #pieces: Piece[] = [];
  readonly #types: string[] = [];
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
    const heads = this.#pieces.map((piece) => ({ piece, at: 0, row: this.#rowAt(piece, 0) }));
    while (heads.length > 0) {
      let least = 0;
      for (let index = 1; index < heads.length; index += 1)
        if ((heads[index]?.row.eventId ?? '') < (heads[least]?.row.eventId ?? '')) least = index;
      const head = heads[least];
      if (head === undefined) return;
      yield head.row;
      head.at += 1;
      if (head.at < head.piece.ends.length) head.row = this.#rowAt(head.piece, head.at);
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
      types: Uint8Array.from(sorted, ({ eventType }) => this.#typeNumber(eventType)),
    });
    this.#open = [];
  }

  #typeNumber(eventType: string): number {
    const known = this.#types.indexOf(eventType);
    if (known >= 0) return known;
    if (this.#types.length === 256) throw new RangeError('a run has more than 256 types of events');
    return this.#types.push(eventType) - 1;
  }

  #rowAt({ ids, ends, digests, types }: Piece, index: number): SideRow {
    const hex = digests.toString('hex', index * DIGESTS_BYTES, (index + 1) * DIGESTS_BYTES);
    return {
      eventId: ids.toString('latin1', index === 0 ? 0 : ends[index - 1], ends[index]),
      eventType: this.#types[types[index] ?? 0] ?? '',
      payloadHash: hex.slice(0, 64) as Digest,
      contentDigest: hex.slice(64) as Digest,
    };
  }
}

export interface Counted {
  readonly admitted: number;
  readonly onBus: number;
}

export interface Comparison {
  /** Of the events that entered as traffic. */
  readonly admitted: number;
  readonly onBus: number;
  /** Of all, what follows from traffic among them. */
  readonly byType: Readonly<Record<string, Counted>>;
  /** Over the traffic alone: what follows from it names places on this very bus, and differs from one bus to the next. */
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
  readonly #counts = new Map<string, { admitted: number; onBus: number }>();
  readonly #isTraffic: (eventType: string) => boolean;
  readonly #bus: Iterator<SideRow, void>;
  #next: SideRow | undefined;
  #last: string | undefined;

  constructor(bus: Iterable<SideRow, void>, isTraffic: (eventType: string) => boolean) {
    this.#isTraffic = isTraffic;
    this.#bus = bus[Symbol.iterator]();
    this.#next = this.#take();
  }

  /** The next admissions of the ledger, by event id. */
  ledger(rows: readonly SideRow[]): void {
    for (const row of rows) {
      this.#countOf(row).admitted += 1;
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
    const traffic = [...this.#counts].filter(([eventType]) => this.#isTraffic(eventType)).map(([, counted]) => counted);
    return {
      admitted: traffic.reduce((sum, { admitted }) => sum + admitted, 0),
      onBus: traffic.reduce((sum, { onBus }) => sum + onBus, 0),
      byType: Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1))),
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
      this.#countOf(value).onBus += 1;
      if (this.#isTraffic(value.eventType)) this.#hash.update(`${value.eventId} ${value.payloadHash}\n`);
      if (value.eventId !== this.#last) {
        this.#last = value.eventId;
        return value;
      }
      this.#note('moreThanOnce', value.eventId);
    }
  }

  #countOf({ eventType }: SideRow): { admitted: number; onBus: number } {
    const known = this.#counts.get(eventType);
    if (known !== undefined) return known;
    const counted = { admitted: 0, onBus: 0 };
    this.#counts.set(eventType, counted);
    return counted;
  }

  #note(kind: OffenderKind, eventId: string): void {
    this.#faults += 1;
    const told = this.#offenders[kind];
    if (told.length < OFFENDERS_TOLD && told.at(-1) !== eventId) told.push(eventId);
  }
}
