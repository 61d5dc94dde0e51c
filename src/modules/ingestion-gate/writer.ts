import { type Digest } from '../../rails/digest.js';
import { type Envelope, type ProducerName, type SchemaVersion } from '../../rails/envelope.schema.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { judgeBatch } from '../../rails/idempotency.js';
import { type RunId } from '../../rails/pins.js';
import { type PolicyRev } from '../../rails/policy-rev.js';
import { fromEpochMs } from '../../rails/time.js';
import { type About } from '../../substrate/about.js';
import { type TopicName } from '../../substrate/bus/bus.port.js';
import { partitionFor } from '../../substrate/bus/partition.core.js';
import { type Clock } from '../../substrate/clock/clock.port.js';
import { type Evidence, type EvidenceLine, keepsRaw } from './evidence.js';
import { type Candidate, conflict, isRefusal, type Refusal } from './ingestion-gate.core.js';
import { sha256 } from './identity.core.js';
import { type Receipt } from './ingestion-gate.port.js';
import { type Lane, type LedgerWork, type NewAdmission, type NewDuplicate, type Standing } from './ledger/ledger.js';
import { type LedgerStore } from './ledger/ledger.store.js';
import {
  type Admission,
  admitReceipt,
  attemptReceiptId,
  duplicateReceipt,
  type Intake,
  type Place,
  type Quarantine,
  quarantineReceipt,
} from './receipts.core.js';

/** One submission on its way through a batch. */
export interface Arrival {
  readonly text: string;
  readonly principalId: string;
  readonly supersedes?: { readonly id: Digest; readonly eventId: string | null };
  /** Trace of the call, for the record. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Judged {
  readonly arrival: Arrival;
  readonly verdict: Candidate | Refusal;
}

/** The policy of a batch, and whether refused bytes are kept under it. */
export interface BatchPolicy {
  readonly policyRev: PolicyRev;
  readonly partitioningProfile: string;
  readonly keepRaw: boolean;
}

/** A receipt, or IG_IN_PROGRESS for an identity that another gate is about to admit. */
export type Outcome = Receipt | ProbityError;

export interface WriterParts {
  readonly store: LedgerStore;
  readonly lane: Lane;
  readonly evidence: Evidence;
  readonly about: About;
  readonly clock: Clock;
  readonly topic: TopicName;
}

/**
 * How often a batch is judged again because another gate took one of its identities meanwhile. Each time the other gate has
 * got on by a batch, so a few are plenty; two gates that are fed the very same events take turns.
 */
const TRIES = 8;

/**
 * Makes a judged batch true: looks at what stands, puts the evidence of refusals, then append and ledger through the lane.
 * Evidence goes first, so that no row names an object that is not there; an attempt that fails afterwards leaves an object
 * that no row names, which does no harm.
 */
export class BatchWriter {
  readonly #parts: WriterParts;
  /** Whether the last batch held what stands already: senders that repeat themselves do so for a while. */
  #looksFirst = false;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  /** One outcome per event, in their order. @throws what the dependencies throw; then nothing of this batch was promised */
  async write(batch: readonly Judged[], policy: BatchPolicy, partitions: number): Promise<readonly Outcome[]> {
    const numbers = await this.#numbers(batch);
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const outcomes = await this.#try(batch, policy, { partitions, ...numbers });
      if (outcomes !== null) return outcomes;
      this.#looksFirst = true;
    }
    throw new ProbityError('IG_IN_PROGRESS', `other gates took identities of this batch ${TRIES} times in a row`);
  }

  async #try(batch: readonly Judged[], policy: BatchPolicy, numbers: Numbers): Promise<readonly Outcome[] | null> {
    const { lane } = this.#parts;
    const ids = new Set<Digest>();
    for (const { verdict } of batch) if (!isRefusal(verdict)) ids.add(verdict.admissionId);
    // The commit finds out by itself whether an identity is taken, and then nothing of it stands: most batches are new altogether, and a
    // look beforehand would cost each of them a round trip.
    const standing = ids.size === 0 || !this.#looksFirst ? NOTHING_STANDS : await lane.standing([...ids]);
    const sorted = sortOut(batch, standing);
    const intakes = await this.#intakes(batch, policy);
    const refused = await this.#putEvidence(batch, sorted, intakes, policy);

    const admissions = sorted.flatMap((fate, index): NewAdmission[] => {
      if (fate.kind !== 'NEW') return [];
      const { candidate } = fate;
      const { envelope } = candidate;
      const { headers, supersedes } = arrivalAt(batch, index);
      return [
        {
          candidate,
          headers,
          intakeId: intakes.of(index).intakeId,
          run: numbers.runs.get(candidate.pins.run_id) ?? NOT_NUMBERED,
          kind: numbers.kinds.get(kindOf(envelope)) ?? NOT_NUMBERED,
          partition: partitionFor(candidate.partitionKey, numbers.partitions),
          ...(supersedes === undefined ? {} : { supersedes: supersedes.id }),
        },
      ];
    });
    const duplicates = sorted.flatMap((fate, position): NewDuplicate[] => {
      if (fate.kind !== 'DUPLICATE') return [];
      const { candidate } = fate;
      const { supersedes } = arrivalAt(batch, position);
      const { intakeId } = intakes.of(position);
      const what = { pins: candidate.pins, event: candidate.envelope.event_id };
      return [
        {
          receiptId: attemptReceiptId('DUPLICATE', { intakeId, position }, what),
          admissionId: candidate.admissionId,
          intakeId,
          run: numbers.runs.get(candidate.pins.run_id) ?? NOT_NUMBERED,
          position,
          ...(supersedes === undefined ? {} : { supersedes: supersedes.id }),
        },
      ];
    });
    const work: LedgerWork = { intakes: intakes.all, admissions, duplicates, quarantines: refused };
    const isEmpty = admissions.length + duplicates.length + refused.length === 0;
    const places = isEmpty ? [] : await lane.commit(work);
    if (places === null) return null;
    this.#looksFirst = standing.size > 0;
    return receiptsOf({ batch, sorted, intakes, work, places, standing });
  }

  /** Numbers of the runs and kinds of a batch: known after their first event, so that this seldom asks anything. */
  async #numbers(batch: readonly Judged[]): Promise<Omit<Numbers, 'partitions'>> {
    const runs = new Map<RunId, number>();
    const kinds = new Map<string, number>();
    for (const { verdict } of batch) {
      if (isRefusal(verdict)) continue;
      const { pins, envelope } = verdict;
      // Awaits only for a run or kind that the batch has not shown yet, and asks only for one that the process has not.
      if (!runs.has(pins.run_id)) runs.set(pins.run_id, await this.#parts.store.runNumber(pins));
      const kind = kindOf(envelope);
      if (kinds.has(kind)) continue;
      const { event_type, schema_version = '', producer = '' } = envelope;
      kinds.set(kind, await this.#parts.store.kindNumber(event_type, schema_version, producer));
    }
    return { runs, kinds };
  }

  /** One intake for each caller of the batch, and for each quarantined event that is superseded in it. */
  async #intakes(batch: readonly Judged[], policy: BatchPolicy): Promise<Intakes> {
    const { about, clock, topic, store } = this.#parts;
    const keys = batch.map(({ arrival }) => `${arrival.supersedes?.id ?? ''} ${arrival.principalId}`);
    const distinct = [...new Set(keys)];
    const ids = await store.intakeIds(distinct.length);
    const decidedAt = fromEpochMs(clock.nowMs());
    const byKey = new Map<string, Intake>();
    batch.forEach(({ arrival }, index) => {
      const key = keys[index] ?? '';
      if (byKey.has(key)) return;
      byKey.set(key, {
        intakeId: ids[byKey.size] ?? NOT_NUMBERED,
        principal: arrival.principalId,
        policyRev: policy.policyRev,
        partitioningProfile: policy.partitioningProfile,
        topic,
        decidedAt,
        ...(arrival.supersedes === undefined ? {} : { supersedes: arrival.supersedes.id }),
        componentVersion: about.version,
        env: about.env,
      });
    });
    return {
      all: [...byKey.values()],
      of: (index) => {
        const intake = byKey.get(keys[index] ?? '');
        if (intake === undefined) throw new ProbityError('INTERNAL', 'an event of a batch belongs to no intake');
        return intake;
      },
    };
  }

  async #putEvidence(
    batch: readonly Judged[],
    sorted: readonly Fate[],
    intakes: Intakes,
    policy: BatchPolicy,
  ): Promise<LedgerWork['quarantines']> {
    const refused = sorted.flatMap((fate, position) => (fate.kind === 'REFUSED' ? [{ ...fate, position }] : []));
    if (refused.length === 0) return [];
    const lines = refused.map(({ refusal, standingDigest, position }): EvidenceLine => {
      const { text, principalId } = arrivalAt(batch, position);
      return {
        principal: principalId,
        stage: refusal.stage,
        reason: refusal.reason,
        detail: refusal.detail,
        raw_digest: sha256(text),
        ...(policy.keepRaw && keepsRaw(refusal.reason) ? { raw: text } : {}),
        ...(refusal.contentDigest === undefined ? {} : { content_digest: refusal.contentDigest }),
        ...(standingDigest === undefined ? {} : { standing_digest: standingDigest }),
      };
    });
    const { ref, ranges } = await this.#parts.evidence.put(lines);
    return refused.map(({ refusal, position }, index) => {
      const { intakeId } = intakes.of(position);
      const { raw_digest: rawDigest } = lines[index] ?? NO_LINE;
      const what = { pins: refusal.pins ?? null, event: refusal.envelope?.event_id ?? rawDigest };
      const range = ranges[index] ?? { start: 0, end: 0 };
      return {
        quarantineId: attemptReceiptId('QUARANTINE', { intakeId, position }, what),
        stage: refusal.stage,
        reason: refusal.reason,
        retryable: refusal.retryable,
        detail: refusal.detail,
        evidence: ref,
        ...factsOf(refusal),
        intakeId,
        rawDigest,
        lineStart: range.start,
        lineEnd: range.end,
      };
    });
  }
}

interface Numbers {
  readonly runs: ReadonlyMap<RunId, number>;
  readonly kinds: ReadonlyMap<string, number>;
  readonly partitions: number;
}

interface Intakes {
  readonly all: readonly Intake[];
  readonly of: (index: number) => Intake;
}

type Fate =
  | { readonly kind: 'NEW' | 'IN_PROGRESS'; readonly candidate: Candidate }
  | { readonly kind: 'DUPLICATE'; readonly candidate: Candidate; readonly firstIndex: number | null }
  | { readonly kind: 'REFUSED'; readonly refusal: Refusal; readonly standingDigest?: Digest };

const NOTHING_STANDS: ReadonlyMap<Digest, Standing> = new Map();
/** No row has it, and the database refuses a reference to it where it matters. */
const NOT_NUMBERED = -1;
const NO_LINE = { raw_digest: '' as Digest };

/** What becomes of each event of a batch, given what stands (law R6). */
function sortOut(batch: readonly Judged[], standing: ReadonlyMap<Digest, Standing>): readonly Fate[] {
  const offers: { readonly identity: Digest; readonly content: Digest }[] = [];
  for (const { verdict } of batch)
    if (!isRefusal(verdict)) offers.push({ identity: verdict.admissionId, content: verdict.contentDigest });
  const digests = new Map([...standing].map(([id, { contentDigest }]) => [id, contentDigest]));
  const judgements = judgeBatch(offers, digests);
  const batchIndexes: number[] = [];
  let next = 0;
  return batch.map(({ verdict }, index): Fate => {
    if (isRefusal(verdict)) return { kind: 'REFUSED', refusal: verdict };
    batchIndexes.push(index);
    const judgement = judgements[next];
    next += 1;
    if (standing.get(verdict.admissionId)?.place === null) return { kind: 'IN_PROGRESS', candidate: verdict };
    if (judgement === undefined || judgement.outcome === 'NEW') return { kind: 'NEW', candidate: verdict };
    if (judgement.outcome === 'CONFLICT')
      return { kind: 'REFUSED', refusal: conflict(verdict), standingDigest: judgement.standing };
    const { firstIndex } = judgement;
    return {
      kind: 'DUPLICATE',
      candidate: verdict,
      firstIndex: firstIndex === null ? null : (batchIndexes[firstIndex] ?? null),
    };
  });
}

interface Written {
  readonly batch: readonly Judged[];
  readonly sorted: readonly Fate[];
  readonly intakes: Intakes;
  readonly work: LedgerWork;
  readonly places: readonly Place[];
  readonly standing: ReadonlyMap<Digest, Standing>;
}

function receiptsOf({ sorted, intakes, work, places, standing }: Written): readonly Outcome[] {
  let [admitted, doubled, refused] = [0, 0, 0];
  const placeAt = new Map<number, Place>();
  return sorted.map((fate, index): Outcome => {
    const intake = intakes.of(index);
    switch (fate.kind) {
      case 'NEW': {
        const place = places[admitted];
        admitted += 1;
        if (place === undefined) throw new ProbityError('INTERNAL', 'an admission has no place on the bus');
        placeAt.set(index, place);
        return admitReceipt(intake, admissionOf(fate.candidate, place));
      }
      case 'DUPLICATE': {
        const duplicate = work.duplicates[doubled];
        doubled += 1;
        const stands = standing.get(fate.candidate.admissionId);
        const place = fate.firstIndex === null ? stands?.place : placeAt.get(fate.firstIndex);
        if (duplicate === undefined || place === undefined || place === null)
          throw new ProbityError('INTERNAL', 'a duplicate has no first');
        const first = { ...admissionOf(fate.candidate, place), topic: stands?.topic ?? intake.topic };
        return duplicateReceipt(intake, duplicate.receiptId, first);
      }
      case 'REFUSED': {
        const entry = work.quarantines[refused];
        refused += 1;
        if (entry === undefined) throw new ProbityError('INTERNAL', 'a refusal has no entry');
        return quarantineReceipt(intake, entry);
      }
      case 'IN_PROGRESS':
        return new ProbityError('IG_IN_PROGRESS', 'another gate is admitting an event of this call', {
          data: { retry_after_ms: 100 },
        });
    }
  });
}

function admissionOf(candidate: Candidate, place: Place): Admission {
  const { envelope, pins, payloadHash, partitionKey, admissionId } = candidate;
  const { schema_version, producer } = envelope;
  return {
    receiptId: admissionId,
    eventId: envelope.event_id,
    eventType: envelope.event_type,
    // A candidate has both: it was checked by them.
    schemaVersion: schema_version as SchemaVersion,
    producer: producer as ProducerName,
    tsUtc: envelope.ts_utc,
    pins,
    payloadHash,
    partitionKey,
    partition: place.partition,
    offset: place.offset,
  };
}

function factsOf({ envelope, pins, payloadHash }: Refusal): Partial<Quarantine> {
  return {
    ...(envelope === undefined
      ? {}
      : {
          eventId: envelope.event_id,
          eventType: envelope.event_type,
          tsUtc: envelope.ts_utc,
          ...(envelope.schema_version === undefined ? {} : { schemaVersion: envelope.schema_version }),
          ...(envelope.producer === undefined ? {} : { producer: envelope.producer }),
        }),
    ...(pins === undefined ? {} : { pins }),
    ...(payloadHash === undefined ? {} : { payloadHash }),
  };
}

function kindOf({ event_type, schema_version, producer }: Envelope): string {
  return `${event_type} ${schema_version ?? ''} ${producer ?? ''}`;
}

function arrivalAt(batch: readonly Judged[], index: number): Arrival {
  const judged = batch[index];
  if (judged === undefined) throw new ProbityError('INTERNAL', 'a batch has no event at this place');
  return judged.arrival;
}
