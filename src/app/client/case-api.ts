import type { Writable } from 'node:stream';
import { Type } from '@sinclair/typebox';
import {
  BulkAnswerSchema,
  type BulkFinding,
  CaseEventSchema,
  CaseSchema,
  type Command,
} from '../../modules/case-workbench/case.schema.js';
import type { Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted, queryOf } from './door-api.js';

const PageSchema = Type.Object({ cases: Type.Array(CaseSchema), next_cursor: Type.Optional(Type.String()) });
const ShownSchema = Type.Object({ case: CaseSchema, timeline: Type.Array(CaseEventSchema) });
const DoneSchema = Type.Object({
  outcome: Type.Union([Type.Literal('NEW'), Type.Literal('DUPLICATE')]),
  case: CaseSchema,
});

const BulkDoneSchema = Type.Object({
  outcome: DoneSchema.properties.outcome,
  results: Type.Array(BulkAnswerSchema),
});

const readers = {
  page: validatorOf(PageSchema, 'the page of cases'),
  shown: validatorOf(ShownSchema, 'the case'),
  done: validatorOf(DoneSchema, 'the answer of the workbench'),
  bulk: validatorOf(BulkDoneSchema, 'the answer of the workbench'),
};

export type CasesPage = Sealed<typeof PageSchema>;
export type ShownCase = Sealed<typeof ShownSchema>;
export type CaseDone = Sealed<typeof DoneSchema>;
export type BulkDone = Sealed<typeof BulkDoneSchema>;

/** The routes of the case workbench. */
export class CaseApi {
  constructor(private readonly door: DoorApi) {}

  async list(query: Readonly<Record<string, string | number | undefined>>): Promise<CasesPage> {
    return await this.door.ask('cases', got(`/v1/cases${queryOf(query)}`), readers.page);
  }

  async show(caseId: string): Promise<ShownCase> {
    return await this.door.ask('cases', got(`/v1/cases/${encodeURIComponent(caseId)}`), readers.shown);
  }

  /** Once by its key, so a lost answer is asked for again. */
  async open(request: {
    readonly run_id: string;
    readonly event_id: string;
    readonly reason: string;
    readonly idempotency_key: string;
  }): Promise<CaseDone> {
    return await this.door.ask('cases', { ...posted('/v1/cases', request), repeatable: true }, readers.done);
  }

  /** Each is an act that is recorded: it is not begun a second time by itself. */
  async export(query: Readonly<Record<string, string | undefined>>, into: () => Writable): Promise<void> {
    await this.door.pour('cases', `/v1/cases/export${queryOf(query)}`, into);
  }

  async decideMany(request: BulkFinding): Promise<BulkDone> {
    const call = posted('/v1/cases/dispositions', request);
    return await this.door.ask('cases', { ...call, repeatable: true }, readers.bulk);
  }

  async command(
    caseId: string,
    request: { readonly command: Command; readonly idempotency_key: string; readonly expected_seq?: number },
  ): Promise<CaseDone> {
    const { command, ...once } = request;
    const path = `/v1/cases/${encodeURIComponent(caseId)}`;
    const { type, ...says } = command;
    const call =
      type === 'SET_DISPOSITION'
        ? posted(`${path}/dispositions`, { ...says, ...once })
        : type === 'ASK_ACTION'
          ? posted(`${path}/actions`, { ...says, ...once })
          : posted(`${path}/commands`, request);
    return await this.door.ask('cases', { ...call, repeatable: true }, readers.done);
  }
}
