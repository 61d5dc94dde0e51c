import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiDefaultResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { isDigest } from '../../../rails/digest.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { documented } from '../../../substrate/http/requests.js';
import { RequirePermission } from '../../../substrate/http/principal.js';
import { Gate } from '../ingestion-gate.gate.js';
import { type Receipt, ReceiptSchema, type Reconciliation, ReconciliationSchema } from '../ingestion-gate.port.js';
import { ReceiptsOfEventQuery } from './dtos.js';

/** What became of an event, and of all events of a run. */
@ApiTags('ingestion')
@Controller('v1')
@RequirePermission('ig.read')
export class ReceiptsController {
  constructor(private readonly gate: Gate) {}

  @Get('receipts/:receipt_id')
  @ApiOperation({ summary: 'A receipt by its id' })
  @ApiOkResponse({ schema: documented(ReceiptSchema) })
  @ApiDefaultResponse({ description: 'A problem document: IG_RECEIPT_NOT_FOUND.' })
  async byId(@Param('receipt_id') id: string): Promise<Receipt> {
    const receipt = isDigest(id) ? await this.gate.receipt(id) : null;
    if (receipt === null) throw new ProbityError('IG_RECEIPT_NOT_FOUND', 'no receipt has this id');
    return receipt;
  }

  @Get('receipts')
  @ApiOperation({
    summary: 'The receipts of admission of an event, youngest first',
    description:
      'An event id is unique within a run, so without a run there may be several. Quarantine has a list of its own.',
  })
  @ApiOkResponse({
    schema: { type: 'object', properties: { receipts: { type: 'array', items: documented(ReceiptSchema) } } },
  })
  async ofEvent(
    @Query() { event_id, run_id }: ReceiptsOfEventQuery,
  ): Promise<{ readonly receipts: readonly Receipt[] }> {
    return { receipts: await this.gate.receiptsOfEvent(event_id, run_id) };
  }

  @Get('runs/:run_id/reconciliation')
  @ApiOperation({
    summary: 'Whether the ledger and the bus hold the very same events of a run',
    description: 'The first call starts the comparison; ask again until the state is DONE.',
  })
  @ApiOkResponse({ schema: documented(ReconciliationSchema) })
  async reconciliation(@Param('run_id') runId: string): Promise<Reconciliation> {
    if (!/^[0-9a-f]{32}$/.test(runId)) {
      throw new ProbityError('HTTP_REQUEST_INVALID', 'run_id is not 32 lower-case hex digits');
    }
    return await this.gate.reconcile(runId);
  }
}
