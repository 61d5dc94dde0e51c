import { canonicalJson } from '../../../rails/canonical-json.js';
import type { EventType, SchemaVersion } from '../../../rails/envelope.schema.js';
import type { Ref } from '../../../rails/ref.js';
import type { OutputIndex, OutputRole, WorldPins } from '../data-engine.port.js';
import { PartWriter } from './parts.js';
import { RowRuns } from './row-runs.js';
import type { ScratchFile } from './scratch.js';
import type { WorldStore } from './world-store.js';

export interface OutputSpec {
  readonly output_id: string;
  readonly role: OutputRole;
  readonly event_type?: EventType;
  readonly schema_version?: SchemaVersion;
  /** Whether each row carries its number, and whether rows have a time to stand in the order of. */
  readonly numbered: boolean;
  readonly timed: boolean;
}

export const NDJSON = 'application/x-ndjson';
export const JSON_TYPE = 'application/json';

/** Text widths of the two sort keys: a time of the platform, and a row number padded with zeros. */
const TIME_BYTES = 27;
export const ROW_BYTES = 16;

/** One output of a world while it is made: its rows gathered and put in order, then its parts and its index. */
export class OutputWriter {
  readonly #runs: RowRuns;

  constructor(
    readonly spec: OutputSpec,
    openScratch?: () => Promise<ScratchFile>,
  ) {
    const keyBytes = spec.timed ? TIME_BYTES : ROW_BYTES;
    this.#runs = new RowRuns({ keyBytes, ...(openScratch === undefined ? {} : { openScratch }) });
  }

  get rows(): number {
    return this.#runs.rows;
  }

  /** A promise only when a page is full, some 15,000 rows: the row is taken when it has resolved. */
  add(key: string, head: string, tail = ''): Promise<void> | undefined {
    if (this.#runs.tryAdd(key, head, tail)) return undefined;
    return this.#runs.flush().then(() => {
      this.#runs.tryAdd(key, head, tail);
    });
  }

  /** Puts the parts, then the index; gives the index's ref. */
  async seal(
    store: WorldStore,
    pins: WorldPins,
    onPart: (rows: number) => void,
  ): Promise<{ readonly index: Ref; readonly content: OutputIndex }> {
    const { output_id, role, event_type, schema_version, numbered, timed } = this.spec;
    const writer = new PartWriter({
      numbered,
      timed,
      put: async (number, bytes) => {
        onPart(writer.rows);
        return await store.put(`${output_id}/part-${String(number).padStart(5, '0')}.ndjson`, bytes, NDJSON);
      },
    });
    await this.#runs.drain(writer.take);
    const parts = await writer.finish();
    const content: OutputIndex = {
      output_id,
      role,
      ...(event_type === undefined ? {} : { event_type }),
      ...(schema_version === undefined ? {} : { schema_version }),
      pins,
      rows: writer.rows,
      parts,
    };
    const index = await store.put(`${output_id}/index.json`, Buffer.from(canonicalJson(content)), JSON_TYPE);
    return { index, content };
  }

  async close(): Promise<void> {
    await this.#runs.close();
  }
}
