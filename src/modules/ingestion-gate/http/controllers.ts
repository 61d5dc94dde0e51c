import type { Type } from '@nestjs/common';
import { EventsController } from './events.controller.js';
import { QuarantineController } from './quarantine.controller.js';
import { ReceiptsController } from './receipts.controller.js';

/** The gate's doors over HTTP; they need a `Gate`. */
export const INGESTION_GATE_CONTROLLERS: Type[] = [EventsController, ReceiptsController, QuarantineController];
