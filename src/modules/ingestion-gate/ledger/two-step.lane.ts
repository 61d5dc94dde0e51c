import { type Digest } from '../../../rails/digest.js';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import { fromEpochMs } from '../../../rails/time.js';
import { type Bus, type BusProducer, type TopicName } from '../../../substrate/bus/bus.port.js';
import { type Clock } from '../../../substrate/clock/clock.port.js';
import { type Logger } from '../../../substrate/telemetry/telemetry.port.js';
import { type Place } from '../receipts.core.js';
import { oneStatement } from '../../../substrate/database/one-statement.js';
import { appendOf } from './embedded.lane.js';
import { type Lane, type LedgerWork, type NewAdmission, type Standing } from './ledger.js';
import { admissionsPartUnlessStanding, placesPart, restParts, supersessionsParts } from './ledger.parts.js';
import { type LedgerStore } from './ledger.store.js';
import { releasePart, type ReservationsStore, type Reserved } from './reservations.store.js';
import { Slot } from './slots.js';
import { envelopeOf, RecordIdentity, scanTopic } from './topic-scan.js';

export interface TwoStepParts {
  readonly store: LedgerStore;
  readonly reservations: ReservationsStore;
  readonly bus: Bus;
  readonly topic: TopicName;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A gate's standing on the bus: its slot, its producer, and from where its unfinished records would have to be looked for. */
interface Holder {
  readonly slot: Slot;
  producer: BusProducer;
  readonly marks: Map<number, number>;
}

/** Another gate's batch is written in some milliseconds; a sender that waits longer had better ask again. */
const PATIENCE_TRIES = 10;
const PATIENCE_MS = 10;
/** How often a batch is appended anew after answers were lost, before its sender is told to come back. */
const APPEND_TRIES = 3;

/**
 * The lane of a bus that does not commit together with the ledger.
 *
 *     absent --reserve--> PENDING --append acknowledged, admissions written--> ADMITTED
 *                           |  \--append refused--> absent
 *                           \--answer lost--> AMBIGUOUS --found on the bus--> ADMITTED
 *                                               \--not found--> appended again
 *
 * A reservation is a row that says everything an admission says but the offset, under this gate's slot, with the offset from which its
 * record would have to be looked for. So whoever comes after a gate that died can finish what it began: take the slot, open
 * the slot's producer (which ends the predecessor's appends one way or the other), read from the noted offset, admit what is
 * found, drop the rest. An identity is therefore on the bus once, whatever dies when (law R6), and never on the bus and refused.
 */
export class TwoStepLane implements Lane {
  readonly #parts: TwoStepParts;
  #holder: Promise<Holder> | undefined;
  #ambiguous = 0;
  #pendingSinceMs: number | undefined;

  constructor(parts: TwoStepParts) {
    this.#parts = parts;
  }

  /** Takes a slot and finishes what former holders left, so that their events are not answered as in progress. */
  async open(): Promise<void> {
    await this.#hold();
  }

  /** For gauges. */
  pending(): { readonly ambiguous: number; readonly oldestAgeMs: number } {
    const since = this.#pendingSinceMs;
    return {
      ambiguous: this.#ambiguous,
      oldestAgeMs: since === undefined ? 0 : this.#parts.clock.monotonicMs() - since,
    };
  }

  async standing(ids: readonly Digest[]): Promise<ReadonlyMap<Digest, Standing>> {
    const { store, reservations, clock } = this.#parts;
    for (let attempt = 0; ; attempt += 1) {
      const reserved = await reservations.reserved(ids);
      const standing = new Map(await store.standing(ids));
      const open = reserved.filter(({ id }) => !standing.has(id));
      if (open.length === 0) return standing;
      const settled = await this.#settleFor(open);
      if (settled) continue;
      if (attempt >= PATIENCE_TRIES) {
        for (const { id, contentDigest } of open) standing.set(id, { contentDigest, place: null, topic: '' });
        return standing;
      }
      await clock.sleep(PATIENCE_MS);
    }
  }

  async commit(work: LedgerWork): Promise<readonly Place[] | null> {
    const { store } = this.#parts;
    if (work.admissions.length === 0) {
      const { statement, values } = oneStatement('ig_rest', [...restParts(work), ...supersessionsParts(work)]);
      await store.database.query(statement, values);
      return [];
    }
    const holder = await this.#hold();
    if (!(await this.#reserve(holder, work))) return null;
    this.#pendingSinceMs = this.#parts.clock.monotonicMs();
    try {
      const places = await this.#append(holder, work.admissions);
      await this.#finish(holder, work, places);
      for (const { partition, offset } of places)
        holder.marks.set(partition, Math.max(holder.marks.get(partition) ?? 0, offset + 1));
      return places;
    } finally {
      this.#pendingSinceMs = undefined;
      this.#ambiguous = 0;
    }
  }

  async close(): Promise<void> {
    await this.#drop();
  }

  async #reserve(holder: Holder, work: LedgerWork): Promise<boolean> {
    const { store, reservations, clock } = this.#parts;
    try {
      return await store.database.transaction(async (transaction) => {
        const at = fromEpochMs(clock.nowMs());
        const place = { slot: holder.slot.number, marks: holder.marks, at };
        if (!(await reservations.reserve(transaction, work, place))) throw new IdentityTaken();
        // In a statement of its own, whose snapshot is younger than the reservations: whoever held one of these identities
        // before has admitted it by now, and a look within the same statement could miss that.
        const ids = work.admissions.map(({ candidate }) => candidate.admissionId);
        if ((await store.standing(ids, transaction)).size > 0) throw new IdentityTaken();
        return true;
      });
    } catch (error) {
      if (error instanceof IdentityTaken) return false;
      // An answer that was lost may have left reservations under our slot: they are settled before the next batch.
      await this.#drop();
      throw error;
    }
  }

  /** Appends, and finds out what became of an append whose answer was lost, until every event has a place. */
  async #append(holder: Holder, admissions: readonly NewAdmission[]): Promise<readonly Place[]> {
    const { bus, topic, logger } = this.#parts;
    const places = new Map<Digest, Place>();
    let open = admissions;
    for (let attempt = 0; open.length > 0; attempt += 1) {
      try {
        const { batch, placesOf } = appendOf(topic, open);
        const appended = await holder.producer.append(batch);
        const found = placesOf(appended.map(({ firstOffset }) => firstOffset));
        open.forEach(({ candidate }, index) => {
          const place = found[index];
          if (place !== undefined) places.set(candidate.admissionId, place);
        });
      } catch (error) {
        if (!isProbityError(error, 'BUS_APPEND_UNKNOWN') || attempt >= APPEND_TRIES) {
          await this.#giveUp(holder, open, error);
          throw error;
        }
        this.#ambiguous = open.length;
        logger.warn('ig_append_ambiguous', { events: open.length, slot: holder.slot.number });
        try {
          await holder.producer.close();
          holder.producer = await bus.openProducer({ name: producerName(holder.slot.number) });
          // After the opening: if the slot is still ours now, whoever takes it later opens a producer later, too, and that
          // ends this one. Asked before, a gate that lost its slot could append what its successor has given up.
          await holder.slot.demandHeld();
          const from = new Map(open.map(({ partition }) => [partition, holder.marks.get(partition) ?? 0]));
          const found = await this.#find(from, new Set(open.map(({ candidate }) => candidate.admissionId)));
          for (const [id, place] of found) places.set(id, place);
        } catch (fault) {
          await this.#drop();
          throw fault;
        }
        this.#ambiguous = 0;
      }
      open = open.filter(({ candidate }) => !places.has(candidate.admissionId));
    }
    return admissions.map(({ candidate }) => {
      const place = places.get(candidate.admissionId);
      if (place === undefined) throw new ProbityError('INTERNAL', 'an appended event has no place');
      return place;
    });
  }

  /** After an append that certainly did not happen its reservations go; in any other case the slot is settled anew. */
  async #giveUp(holder: Holder, open: readonly NewAdmission[], error: unknown): Promise<void> {
    const isCertain = isProbityError(error, 'BUS_UNAVAILABLE') || isProbityError(error, 'BUS_RECORD_TOO_LARGE');
    if (isCertain && !holder.slot.isLost) {
      const ids = open.map(({ candidate }) => candidate.admissionId);
      try {
        await this.#parts.reservations.release(ids, holder.slot.number);
        return;
      } catch {
        // The ledger is away, too: what is left under the slot is settled when both are back.
      }
    }
    await this.#drop();
  }

  async #finish(holder: Holder, work: LedgerWork, places: readonly Place[]): Promise<void> {
    const { store } = this.#parts;
    const ids = work.admissions.map(({ candidate }) => candidate.admissionId);
    const { statement, values } = oneStatement('ig_finish', [
      ...restParts({ ...work, intakes: [] }),
      ...supersessionsParts(work),
      placesPart(places.map(({ offset }) => offset)),
      // Fewer rows than events: another gate took this one for dead and has admitted them where they stand.
      admissionsPartUnlessStanding(work.admissions.map((admission, part) => ({ admission, part, index: 0 }))),
      releasePart(ids, holder.slot.number),
    ]);
    try {
      await store.database.query(statement, values);
    } catch (fault) {
      // The records stand on the bus: whoever settles the slot finds them there.
      await this.#drop();
      throw fault;
    }
  }

  async #hold(): Promise<Holder> {
    const held = await this.#holder?.catch(() => undefined);
    if (held !== undefined && !held.slot.isLost) return held;
    if (held !== undefined) await this.#drop();
    this.#holder = this.#take();
    try {
      return await this.#holder;
    } catch (fault) {
      this.#holder = undefined;
      throw fault;
    }
  }

  async #take(): Promise<Holder> {
    const { store, reservations, bus, topic } = this.#parts;
    const slot = await Slot.take(store.database);
    try {
      const producer = await bus.openProducer({ name: producerName(slot.number) });
      await this.#settle(slot.number);
      for (const number of await reservations.slotsWithReservations()) await this.#adopt(slot, number);
      const marks = new Map((await bus.marks(topic)).map(({ partition, highWater }) => [partition, Number(highWater)]));
      return { slot, producer, marks };
    } catch (fault) {
      await slot.free();
      throw fault;
    }
  }

  /** Finishes what the holder of a slot left, if nobody holds it any more. */
  async #adopt(own: Slot, number: number): Promise<boolean> {
    if (number === own.number) return false;
    return await own.whileHolding(number, async () => {
      const producer = await this.#parts.bus.openProducer({ name: producerName(number) });
      await this.#settle(number);
      await producer.close();
    });
  }

  /** Only under the slot's lock, and after its producer was opened: from then on no earlier append can land any more. */
  async #settle(slot: number): Promise<void> {
    const { reservations, logger } = this.#parts;
    const left = await reservations.left(slot);
    if (left.length === 0) return;
    const from = new Map<number, number>();
    for (const { partition, highWater } of left)
      from.set(partition, Math.min(from.get(partition) ?? highWater, highWater));
    const found = await this.#find(from, new Set(left.map(({ id }) => id)));
    const offsets = left.map(({ id }) => found.get(id)?.offset ?? null);
    await reservations.settle(slot, left, offsets);
    logger.warn('ig_slot_settled', { slot, admitted: found.size, dropped: left.length - found.size });
  }

  /** True when a reservation that was in the way is gone: its gate was dead, or it was a leftover of our own. */
  async #settleFor(open: readonly Reserved[]): Promise<boolean> {
    const holder = await this.#hold();
    let settled = false;
    for (const slot of new Set(open.map((each) => each.slot))) {
      if (slot === holder.slot.number) {
        // Batches are written one after the other, so this is of one that failed: take the slot anew, which settles it.
        await this.#drop();
        await this.#hold();
        return true;
      }
      settled = (await this.#adopt(holder.slot, slot)) || settled;
    }
    return settled;
  }

  async #find(from: ReadonlyMap<number, number>, ids: ReadonlySet<Digest>): Promise<ReadonlyMap<Digest, Place>> {
    const { bus, topic } = this.#parts;
    const identity = new RecordIdentity();
    const found = new Map<Digest, Place>();
    for await (const slice of scanTopic(bus, { marks: await bus.marks(topic), from })) {
      for (const { partition, record } of slice) {
        const id = identity.of(envelopeOf(record));
        if (ids.has(id)) found.set(id, { partition, offset: record.offset });
      }
    }
    return found;
  }

  /** Lets go of slot and producer; the next batch takes a slot and settles what is left under it. */
  async #drop(): Promise<void> {
    const holder = await this.#holder?.catch(() => undefined);
    this.#holder = undefined;
    if (holder === undefined) return;
    await holder.producer.close().catch(() => undefined);
    await holder.slot.free();
  }
}

/** Rolls the transaction back and leaves it; never seen outside. */
class IdentityTaken extends Error {}

function producerName(slot: number): string {
  return `gate.${slot}`;
}
