import { type Readable, type Writable } from 'node:stream';
import { Type } from '@sinclair/typebox';
import {
  type PreviewRequest,
  PreviewSchema,
  type WorldSeal,
  WorldSealSchema,
} from '../../modules/data-engine/data-engine.port.js';
import { type Receipt, ReceiptSchema, ReconciliationSchema } from '../../modules/ingestion-gate/ingestion-gate.port.js';
import {
  type RunFactsView,
  RunFactsViewSchema,
  type RunRequest,
  RunsPage,
  RunStatusSchema,
} from '../../modules/scenario-runner/scenario-runner.port.js';
import { type Pace, StreamStatusSchema } from '../../modules/world-stream-producer/world-stream-producer.port.js';
import type { JsonObject } from '../../rails/canonical-json.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { type Ref, RefSchema } from '../../rails/ref.js';
import { closed, type Sealed } from '../../rails/schema.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import type { Address, ApiAnswer, ApiCall, ApiClient } from './api-client.js';

/** The roles whose public routes the commands use. */
export type DoorRole =
  | 'engine'
  | 'sr'
  | 'wsp'
  | 'ig'
  | 'edge'
  | 'labels'
  | 'cases'
  | 'mpr'
  | 'ofp'
  | 'ieg'
  | 'dl'
  | 'df'
  | 'al'
  | 'dla'
  | 'ops'
  | 'ofs'
  | 'mf';

/** Finds the process that serves a role at this moment. */
export type Door = (role: DoorRole) => Promise<Address>;

const UploadedSchema = closed({ ref: RefSchema, outcome: Type.String() });
/** Readers take further members beside these: a list for people may grow. */
const OffersSchema = Type.Record(
  Type.String(),
  Type.Object({ title: Type.Optional(Type.String()), parameters: Type.Unsafe<JsonObject>({ type: 'object' }) }),
);
const RejectSchema = Type.Object({ row: Type.Integer(), reason: Type.String(), detail: Type.String() });
const QuarantineEntrySchema = Type.Object({
  quarantine_id: Type.String(),
  receipt: ReceiptSchema,
  superseded_by: Type.Optional(Type.String()),
});
const QuarantinePageSchema = Type.Object({
  entries: Type.Array(QuarantineEntrySchema),
  next_cursor: Type.Optional(Type.String()),
});

export type Run = Sealed<typeof RunStatusSchema>;
export type Runs = Sealed<typeof RunsPage>;
export type Stream = Sealed<typeof StreamStatusSchema>;
export type Preview = Sealed<typeof PreviewSchema>;
export type Reconciliation = Sealed<typeof ReconciliationSchema>;
export type Offers = Sealed<typeof OffersSchema>;
export type Reject = Sealed<typeof RejectSchema>;
export type QuarantineEntry = Sealed<typeof QuarantineEntrySchema>;
export type QuarantinePage = Sealed<typeof QuarantinePageSchema>;
export type PreviewAsked = Sealed<typeof PreviewRequest>;

const readers = {
  uploaded: validatorOf(UploadedSchema, 'the answer to the upload'),
  offers: validatorOf(OffersSchema, 'the list'),
  preview: validatorOf(PreviewSchema, 'the preview'),
  rejects: validatorOf(Type.Object({ rows: Type.Array(Type.Object({ row: RejectSchema })) }), 'the rejected rows'),
  seal: validatorOf(WorldSealSchema, 'the seal'),
  run: validatorOf(RunStatusSchema, 'the status of the run'),
  runs: validatorOf(RunsPage, 'the list of runs'),
  facts: validatorOf(RunFactsViewSchema, 'the facts of the run'),
  stream: validatorOf(StreamStatusSchema, 'the status of the stream'),
  receipt: validatorOf(ReceiptSchema, 'the receipt'),
  receipts: validatorOf(Type.Object({ receipts: Type.Array(ReceiptSchema) }), 'the receipts'),
  entry: validatorOf(QuarantineEntrySchema, 'the quarantined event'),
  page: validatorOf(QuarantinePageSchema, 'the page of quarantined events'),
  reconciliation: validatorOf(ReconciliationSchema, 'the reconciliation'),
};

/** The routes of the door, one method each; every answer is checked against the schema that its unit publishes. */
export class DoorApi {
  constructor(
    private readonly client: ApiClient,
    private readonly door: Door,
  ) {}

  /** Puts a source file into the store; the same bytes again are recognised. */
  async upload(body: () => Readable, repeatable: boolean): Promise<Ref> {
    const call: ApiCall = {
      method: 'POST',
      path: '/v1/engine/sources',
      // One type for every file: what it is, the mapping says, and one file must have one ref.
      mediaType: SOURCE_MEDIA_TYPE,
      body,
      repeatable,
    };
    return (await this.ask('engine', call, readers.uploaded)).ref;
  }

  async preview(request: PreviewAsked): Promise<Preview> {
    return await this.ask('engine', posted('/v1/engine/previews', request), readers.preview);
  }

  /** Mappings and parameter packs that the engine brings, by name. */
  async offers(kind: 'presets' | 'packs'): Promise<Offers> {
    const document = await this.#json('engine', got(`/v1/engine/${kind}`));
    // Either the list itself, or under its own name.
    const inner = Reflect.get(Object(document) as object, kind) as unknown;
    return demanded(readers.offers, inner ?? document);
  }

  async seal(fingerprint: string): Promise<WorldSeal> {
    return await this.ask('engine', got(`/v1/engine/worlds/${fingerprint}`), readers.seal);
  }

  /** The first rows of the source that could not be mapped. */
  async rejects(fingerprint: string, limit: number): Promise<readonly Reject[]> {
    const call = got(`/v1/engine/worlds/${fingerprint}/outputs/rejects/rows?limit=${limit}`);
    return (await this.ask('engine', call, readers.rejects)).rows.map(({ row }) => row);
  }

  async requestRun(request: RunRequest): Promise<Run> {
    return await this.ask('sr', posted('/v1/runs', request), readers.run);
  }

  async run(runId: string): Promise<Run> {
    return await this.ask('sr', got(`/v1/runs/${encodeURIComponent(runId)}`), readers.run);
  }

  async findRun(runId: string): Promise<Run | undefined> {
    return await absent(this.run(runId), 'SR_RUN_NOT_FOUND');
  }

  async runs(query: Query): Promise<Runs> {
    return await this.ask('sr', got(`/v1/runs${queryOf(query)}`), readers.runs);
  }

  async facts(runId: string): Promise<RunFactsView> {
    return await this.ask('sr', got(`/v1/runs/${encodeURIComponent(runId)}/facts`), readers.facts);
  }

  async record(runId: string): Promise<unknown> {
    return await this.#json('sr', got(`/v1/runs/${encodeURIComponent(runId)}/record`));
  }

  /** With `again` it is sent once only: a second time could begin a pass too many. */
  async startStream(runId: string, start: { readonly pace?: Pace; readonly again?: boolean }): Promise<Stream> {
    const call = posted(`/v1/runs/${encodeURIComponent(runId)}/stream`, start);
    return await this.ask('wsp', { ...call, repeatable: start.again !== true }, readers.stream);
  }

  async pauseStream(runId: string): Promise<Stream> {
    return await this.ask('wsp', posted(`/v1/runs/${encodeURIComponent(runId)}/stream/pause`, {}), readers.stream);
  }

  /** Undefined where nothing of the run was ever streamed. */
  async stream(runId: string): Promise<Stream | undefined> {
    const call = got(`/v1/runs/${encodeURIComponent(runId)}/stream`);
    return await absent(this.ask('wsp', call, readers.stream), 'WSP_STREAM_NOT_FOUND');
  }

  async reconciliation(runId: string): Promise<Reconciliation> {
    return await this.ask('ig', got(`/v1/runs/${encodeURIComponent(runId)}/reconciliation`), readers.reconciliation);
  }

  async receipt(receiptId: string): Promise<Receipt> {
    return await this.ask('ig', got(`/v1/receipts/${encodeURIComponent(receiptId)}`), readers.receipt);
  }

  async receiptsOfEvent(eventId: string, runId?: string): Promise<readonly Receipt[]> {
    const document = await this.#json('ig', got(`/v1/receipts${queryOf({ event_id: eventId, run_id: runId })}`));
    return demanded(readers.receipts, Array.isArray(document) ? { receipts: document } : document).receipts;
  }

  async quarantine(query: Query): Promise<QuarantinePage> {
    return await this.ask('ig', got(`/v1/quarantine${queryOf(query)}`), readers.page);
  }

  async quarantined(id: string): Promise<QuarantineEntry> {
    return await this.ask('ig', got(`/v1/quarantine/${encodeURIComponent(id)}`), readers.entry);
  }

  /** The raw bytes of a quarantined event; who read them, and what for, is recorded. */
  async evidence(id: string, purpose: string): Promise<unknown> {
    return await this.#json('ig', got(`/v1/quarantine/${encodeURIComponent(id)}/evidence${queryOf({ purpose })}`));
  }

  async release(id: string, body: { readonly reason: string; readonly correction?: unknown }): Promise<Receipt> {
    return await this.ask('ig', posted(`/v1/quarantine/${encodeURIComponent(id)}/release`, body), readers.receipt);
  }

  /** Sends lines to one of the two doors for many; answers with a line of JSON for each. */
  async submitLines(role: 'ig' | 'edge', lines: readonly Buffer[]): Promise<string> {
    const answer = await this.#send(role, {
      method: 'POST',
      path: role === 'edge' ? '/v1/transactions' : '/v1/events/batch?receipts=short',
      mediaType: 'application/x-ndjson',
      accept: 'application/x-ndjson, application/problem+json',
      body: Buffer.concat(lines.flatMap((line) => [line, NEWLINE])),
    });
    return answer.text;
  }

  /** Any route, for the clients of other units that are built on this one. */
  async ask<Value>(role: DoorRole, call: ApiCall, reader: Validator<Value>): Promise<Value> {
    return demanded(reader, await this.#json(role, call));
  }

  /** A file, as it is. */
  async bytes(role: DoorRole, path: string): Promise<Buffer> {
    return (await this.#send(role, { method: 'GET', path, accept: '*/*' })).bytes;
  }

  /** A file of any length, piece by piece; sent once. */
  async pour(role: DoorRole, path: string, into: () => Writable): Promise<void> {
    await this.#send(role, { method: 'GET', path, accept: '*/*', into, repeatable: false });
  }

  async #json(role: DoorRole, call: ApiCall): Promise<unknown> {
    const { text } = await this.#send(role, call);
    try {
      return JSON.parse(text) as unknown;
    } catch (cause) {
      throw new ProbityError('RPC_RESPONSE_INVALID', `${call.method} ${call.path} was not answered with JSON`, {
        cause,
      });
    }
  }

  async #send(role: DoorRole, call: ApiCall): Promise<ApiAnswer> {
    return await this.client.send(() => this.door(role), call);
  }
}

export const SOURCE_MEDIA_TYPE = 'application/octet-stream';

const NEWLINE = Buffer.from('\n');

type Query = Readonly<Record<string, string | number | undefined>>;

export const got = (path: string): ApiCall => ({ method: 'GET', path });
export const posted = (path: string, body: unknown): ApiCall => ({ method: 'POST', path, body: JSON.stringify(body) });

export function queryOf(query: Query): string {
  const given = Object.entries(query).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}

function demanded<Value>(reader: Validator<Value>, document: unknown): Value {
  try {
    return reader.demand(document);
  } catch (cause) {
    if (!isProbityError(cause)) throw cause;
    throw new ProbityError('RPC_RESPONSE_INVALID', cause.detail, { cause });
  }
}

async function absent<Value>(
  found: Promise<Value>,
  code: 'SR_RUN_NOT_FOUND' | 'WSP_STREAM_NOT_FOUND',
): Promise<Value | undefined> {
  try {
    return await found;
  } catch (error) {
    if (isProbityError(error, code)) return undefined;
    throw error;
  }
}
