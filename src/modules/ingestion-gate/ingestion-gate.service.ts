import { Injectable } from '@nestjs/common';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { IngestionGatePort } from './ingestion-gate.port.js';

@Injectable()
export class IngestionGateService extends IngestionGatePort {
  submit(): never {
    throw new ProbityError('INTERNAL', 'ig.submit is not built yet');
  }
  receipts(): never {
    throw new ProbityError('INTERNAL', 'ig.receipts is not built yet');
  }
  reconcile(): never {
    throw new ProbityError('INTERNAL', 'ig.reconcile is not built yet');
  }
}
