import { Injectable } from '@nestjs/common';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { asTopicName } from '../../rails/eb-ref.js';
import { Bus, type PartitionMarks } from '../../substrate/bus/bus.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { runIdOf } from '../scenario-runner/scenario-runner.port.js';
import { EDGES_POLICY, type SourceEdge } from './producer-edges.policy.js';
import {
  ProducerEdgesStore,
  type SourceCounts,
  type StoredPosition,
  type UnreadableRecord,
} from './producer-edges.store.js';
import { RunBindings } from './run-bindings.js';

/** To which run an edge is bound, and whether it can be used: READY, or the code of what is in the way. */
export interface BoundRun {
  readonly run_equivalence_key: string;
  readonly run_id: string;
  readonly state: string;
}

export interface SourcePartition {
  readonly partition: number;
  readonly next_offset: number;
  readonly high_water: number;
  /** An upper bound of the records still to come: offsets may have gaps. */
  readonly lag: number;
}

export interface EdgesReport {
  readonly http: readonly {
    readonly producer: string;
    readonly principals: readonly string[];
    readonly run: BoundRun;
  }[];
  readonly sources: readonly {
    readonly producer: string;
    readonly topic: string;
    readonly group: string;
    readonly run: BoundRun;
    /** Over all records that were read, each in one of them. */
    readonly counts: SourceCounts;
    /** Those that have been read from; a code in their place where the bus does not say how long they are. */
    readonly partitions: readonly SourcePartition[] | string;
  }[];
}

export interface UnreadablePage {
  readonly records: readonly UnreadableRecord[];
  readonly next_cursor?: string;
}

const LIMIT = { usual: 50, max: 200 } as const;

/** What the edges say of themselves: from what is stored and what the bus holds, whichever process does the reading. */
@Injectable()
export class EdgesStatus {
  constructor(
    private readonly policies: Policies,
    private readonly bindings: RunBindings,
    private readonly store: ProducerEdgesStore,
    private readonly bus: Bus,
  ) {}

  async report(): Promise<EdgesReport> {
    const { http, sources } = this.policies.inForce(EDGES_POLICY).body;
    const stored = await this.store.allPositions();
    return {
      http: await Promise.all(
        http.map(async ({ producer, principals, run_equivalence_key }) => ({
          producer,
          principals,
          run: await this.#run(run_equivalence_key),
        })),
      ),
      sources: await Promise.all(sources.map((source) => this.#source(source, stored))),
    };
  }

  /** @throws HTTP_REQUEST_INVALID for a query that is none */
  async unreadable(group?: string, limit = String(LIMIT.usual), cursor?: string): Promise<UnreadablePage> {
    if (group === undefined || group === '') throw invalid('name the group of the source: ?group=…');
    const [count, before] = [numberOf('limit', limit), cursor === undefined ? undefined : numberOf('cursor', cursor)];
    if (count < 1 || count > LIMIT.max) throw invalid(`limit is a number from 1 to ${LIMIT.max}`);
    const rows = await this.store.unreadable(group, count, before);
    const last = rows.length === count ? rows.at(-1) : undefined;
    return {
      records: rows.map(({ seq: _, ...record }) => record),
      ...(last === undefined ? {} : { next_cursor: String(last.seq) }),
    };
  }

  async #source(source: SourceEdge, stored: readonly StoredPosition[]): Promise<EdgesReport['sources'][number]> {
    const { producer, topic, group } = source;
    const mine = stored.filter((position) => position.group === group && position.topic === topic);
    const counts = { admitted: 0, duplicate: 0, quarantined: 0, unreadable: 0 };
    for (const { counts: each } of mine) {
      counts.admitted += each.admitted;
      counts.duplicate += each.duplicate;
      counts.quarantined += each.quarantined;
      counts.unreadable += each.unreadable;
    }
    const run = await this.#run(source.run_equivalence_key);
    return { producer, topic, group, run, counts, partitions: await this.#partitions(topic, mine) };
  }

  async #partitions(topic: string, mine: readonly StoredPosition[]): Promise<readonly SourcePartition[] | string> {
    let marks: readonly PartitionMarks[];
    try {
      marks = await this.bus.marks(asTopicName(topic));
    } catch (error) {
      if (isProbityError(error)) return error.code;
      throw error;
    }
    const high = new Map(marks.map(({ partition, highWater }) => [partition, highWater]));
    return mine.map(({ partition, nextOffset }) => {
      const highWater = high.get(partition) ?? nextOffset;
      return { partition, next_offset: nextOffset, high_water: highWater, lag: Math.max(0, highWater - nextOffset) };
    });
  }

  async #run(run_equivalence_key: string): Promise<BoundRun> {
    const run_id = runIdOf(run_equivalence_key);
    try {
      await this.bindings.pinsOf(run_equivalence_key);
      return { run_equivalence_key, run_id, state: 'READY' };
    } catch (error) {
      if (isProbityError(error)) return { run_equivalence_key, run_id, state: error.code };
      throw error;
    }
  }
}

function numberOf(name: string, text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw invalid(`${name} is a whole number`);
  return Number(text);
}

function invalid(detail: string): ProbityError {
  return new ProbityError('HTTP_REQUEST_INVALID', detail);
}
