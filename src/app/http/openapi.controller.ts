import { Controller, Get } from '@nestjs/common';
import { ApiExcludeController, type OpenAPIObject } from '@nestjs/swagger';
import { RequirePermission } from '../../substrate/http/principal.js';

/** Holds the document, which exists only once all routes do. */
export class OpenApiHolder {
  document: OpenAPIObject | undefined;
}

@ApiExcludeController()
@Controller()
@RequirePermission('health.read')
export class OpenApiController {
  constructor(private readonly holder: OpenApiHolder) {}

  @Get('openapi.json')
  read(): OpenAPIObject | undefined {
    return this.holder.document;
  }
}
