import { Injectable } from '@nestjs/common';
import { type Static, Type } from '@sinclair/typebox';
import { systemActor } from '../../../../rails/actor.js';
import { canonicalJson, type JsonObject } from '../../../../rails/canonical-json.js';
import { type Offset, OffsetSchema, PartitionSchema, TopicNameSchema } from '../../../../rails/eb-ref.js';
import { ProbityError } from '../../../../rails/errors/probity-error.js';
import { objectKey } from '../../../../rails/ref.js';
import { closed, type Sealed } from '../../../../rails/schema.js';
import { fromEpochMs, toEpochMicros, UtcMicrosSchema } from '../../../../rails/time.js';
import { validatorOf } from '../../../../rails/validator.js';
import { Bus } from '../../../../substrate/bus/bus.port.js';
import { Consumption, type Reader } from '../../../../substrate/bus/consumption.port.js';
import { marksOf } from '../../../../substrate/bus/standing-marks.js';
import { Clock } from '../../../../substrate/clock/clock.port.js';
import { Database } from '../../../../substrate/database/database.port.js';
import { Objects } from '../../../../substrate/objects/objects.port.js';
import { Policies } from '../../../../substrate/policy/policy.port.js';
import { Telemetry } from '../../../../substrate/telemetry/telemetry.port.js';
import { OperationFacts, type Told } from '../../operation-facts.js';
import { lagsOf, running, toldLag } from '../../retention/readers.js';
import { RETENTION_POLICY } from '../../retention/retention.policy.js';
import { type JobKind, JobWaits, type JobWork } from '../job-kind.js';

const WITHIN_DEFAULT_MS = 600_000;
const WITHIN_MAX_MS = 86_400_000;
const LAGS_TOLD_MAX = 10;

const OffsetsSchema = Type.Record(
  Type.String({ pattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,248}$' }),
  Type.Record(Type.String({ pattern: '^(0|[1-9][0-9]{0,9})$' }), OffsetSchema, { additionalProperties: false }),
  { additionalProperties: false },
);

export const DrainScopeSchema = closed({
  /** Left out: all that somebody consumes. */
  topics: Type.Optional(Type.Array(TopicNameSchema, { minItems: 1, maxItems: 16, uniqueItems: true })),
  /** Up to where, exclusive; a partition that is left out: up to where it ends when the drain begins. */
  to: Type.Optional(OffsetsSchema),
  within_ms: Type.Optional(Type.Integer({ minimum: 1, maximum: WITHIN_MAX_MS })),
});

/** Kept when the drain begins, so that one that goes on after a crash waits for the same, and no longer. */
const DrainTargetSchema = closed({
  op_id: Type.String(),
  begun_at_utc: UtcMicrosSchema,
  within_ms: Type.Integer({ minimum: 1 }),
  places: Type.Array(closed({ topic: TopicNameSchema, partition: PartitionSchema, offset: OffsetSchema })),
});
type DrainTarget = Sealed<typeof DrainTargetSchema>;

const targets = validatorOf(DrainTargetSchema, 'the target');

/** Waits until everybody who consumes the topics has dealt with all that stood on them when it began, or with what it was told. It stops no intake. */
@Injectable()
export class DrainJob implements JobKind {
  readonly kind = 'drain';
  readonly summary = 'Waits until every consumer has reached a place on the log.';
  readonly scope = DrainScopeSchema;
  readonly #told = new Set<string>();

  constructor(
    private readonly consumption: Consumption,
    private readonly bus: Bus,
    private readonly objects: Objects,
    private readonly database: Database,
    private readonly facts: OperationFacts,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  /** @throws JobWaits while somebody lags, OPS_DRAIN_LATE once the time is up, OPS_DRAIN_TARGET for what nobody can reach */
  async run(scope: JsonObject, { opId, signal }: JobWork): Promise<JsonObject> {
    const readers = await this.#readers(signal);
    const target = (await this.#standing(opId)) ?? (await this.#begin(opId, scope, readers));
    await this.#tellStarted(target);
    const lags = lagsOf(readers, await this.#withLows(target));
    if (lags.length === 0) {
      this.#told.delete(opId);
      return { target: target.places.map((place) => ({ ...place })), groups: groupsOf(readers, target) };
    }
    const told = lags.slice(0, LAGS_TOLD_MAX).map(toldLag);
    const leftMs = Math.floor(toEpochMicros(target.begun_at_utc) / 1_000) + target.within_ms - this.clock.nowMs();
    if (leftMs <= 0) {
      this.#told.delete(opId);
      const more = lags.length > told.length ? `; and ${lags.length - told.length} more` : '';
      throw new ProbityError('OPS_DRAIN_LATE', `${[...new Set(told)].join('; ')}${more}`);
    }
    this.telemetry.logger.info('ops_drain_waits', { op_id: opId, left_ms: leftMs, lags: lags.length, first: told[0] });
    throw new JobWaits(told.join('; '));
  }

  /** Asked once more: what was reached stays reached. */
  async verify(_: JsonObject, { target }: JsonObject, { signal }: JobWork): Promise<JsonObject> {
    const places = (target as unknown as DrainTarget['places']).map((place) => ({ ...place, lowWater: 0 as Offset }));
    const lags = lagsOf(await this.#readers(signal), places).filter(({ at }) => at !== null);
    const [first] = lags;
    if (first !== undefined) throw new JobWaits(toldLag(first));
    return { places: places.length };
  }

  tells({ target, groups }: JsonObject): readonly Told[] {
    const places = target as unknown as DrainTarget['places'];
    const names = (groups as unknown as readonly { readonly role: string }[]).map(({ role }) => role);
    const topics = [...new Set(places.map(({ topic }) => topic))].join(' ');
    return [
      {
        ...{ kind: 'DRAIN_COMPLETED', subject: 'bus', reason: 'every consumer has reached the target' },
        detail: { topics: topics.slice(0, 1_000), groups: [...new Set(names)].join(' ').slice(0, 1_000) },
      },
    ];
  }

  async #readers(signal: AbortSignal): Promise<readonly Reader[]> {
    const { roles_not_run } = this.policies.inForce(RETENTION_POLICY).body;
    return running(await this.consumption.readers(signal), roles_not_run).filter(({ topics }) => topics.length > 0);
  }

  async #standing(opId: string): Promise<DrainTarget | null> {
    const ref = await this.objects.head(keyOf(opId));
    return ref === null ? null : targets.demand(JSON.parse((await this.objects.read(ref)).toString('utf8')));
  }

  async #begin(opId: string, scope: JsonObject, readers: readonly Reader[]): Promise<DrainTarget> {
    // The kinds have compared the scope with the schema.
    const { topics, to = {}, within_ms = WITHIN_DEFAULT_MS } = scope as Static<typeof DrainScopeSchema>;
    const consumed = new Set(readers.flatMap((reader) => reader.topics));
    const wanted = topics ?? (Object.keys(to).length > 0 ? Object.keys(to) : [...consumed].sort());
    const stray = [...wanted, ...Object.keys(to)].find(
      (topic) => !consumed.has(topic) || !wanted.includes(topic as never),
    );
    if (stray !== undefined)
      throw new ProbityError('OPS_DRAIN_TARGET', `${stray} is consumed by nobody, or is not among the topics`);
    const marks = (await Promise.all(wanted.map((topic) => marksOf(this.bus, topic)))).flat();
    for (const [topic, offsets] of Object.entries(to)) {
      for (const [partition, offset] of Object.entries(offsets)) {
        const mark = marks.find((one) => one.topic === topic && one.partition === Number(partition));
        if (mark === undefined || offset > mark.highWater)
          throw new ProbityError(
            'OPS_DRAIN_TARGET',
            `${topic}/${partition} ends at ${mark?.highWater ?? 'nothing'}, and ${offset} is the target`,
          );
      }
    }
    const places = marks.map(({ topic, partition, highWater }) => ({
      ...{ topic, partition },
      offset: to[topic]?.[String(partition)] ?? highWater,
    }));
    const target = { op_id: opId, begun_at_utc: fromEpochMs(this.clock.nowMs()), within_ms, places };
    await this.objects.putIfAbsent(keyOf(opId), Buffer.from(canonicalJson(target)), { mediaType: 'application/json' });
    return (await this.#standing(opId)) ?? target;
  }

  /** Once per process is enough: the fact is the same whoever tells it. */
  async #tellStarted({ op_id: opId, begun_at_utc: at, places, within_ms }: DrainTarget): Promise<void> {
    if (this.#told.has(opId)) return;
    const detail = { partitions: places.length, within_ms };
    await this.database.transaction(async (transaction) => {
      await this.facts.append(transaction, { opId, actor: systemActor('ops'), at }, [
        { kind: 'DRAIN_STARTED', subject: 'bus', reason: 'consumers are waited for', detail },
      ]);
    });
    this.#told.add(opId);
  }

  async #withLows({
    places,
  }: DrainTarget): Promise<readonly (DrainTarget['places'][number] & { readonly lowWater: Offset })[]> {
    const topics = [...new Set(places.map(({ topic }) => topic))];
    const marks = (await Promise.all(topics.map((topic) => marksOf(this.bus, topic)))).flat();
    return places.map((place) => {
      const mark = marks.find(({ topic, partition }) => topic === place.topic && partition === place.partition);
      return { ...place, lowWater: mark?.lowWater ?? (0 as Offset) };
    });
  }
}

function keyOf(opId: string): ReturnType<typeof objectKey> {
  return objectKey(`gov/drains/${opId}.json`);
}

/** Where each consumer stood when all had arrived. */
function groupsOf(readers: readonly Reader[], { places }: DrainTarget): JsonObject[] {
  const wanted = new Set(places.map(({ topic }) => topic as string));
  return readers
    .filter(({ topics }) => topics.some((topic) => wanted.has(topic)))
    .map(({ role, answer }) => ({
      role,
      positions: (answer?.positions ?? [])
        .filter(({ topic }) => wanted.has(topic))
        .map(({ topic, partition, next_offset }) => ({ topic, partition, next_offset })),
    }));
}
