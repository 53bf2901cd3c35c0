// Package fakecloud stands in for object stores of Google, Microsoft and
// Amazon, and for a web server, at the border of the network: the clients under
// test are the real ones, ask the real host names over TLS, and sign with keys
// that are checked here. It is a fake because none of these can run on a
// developer's machine.
//
// # What it follows
//
// The shapes of answers (status, headers, bodies) are those that the stores
// themselves gave to Go CDK and to Google's client, in the recordings that come
// with them: gocloud.dev v0.47.0, blob/{s3blob,azureblob,gcsblob}/testdata, and
// cloud.google.com/go/storage v1.67.0, storage.replay. For what is not recorded
// there, the documentation:
//
//   - S3, "Amazon Simple Storage Service API Reference": HeadObject, GetObject,
//     "Authenticating Requests: Using the Authorization Header", "Error
//     responses"
//     https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
//     https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
//     https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
//     https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
//   - Azure, "Blob Storage REST API": Get Blob, Get Blob Properties, "Specifying
//     the range header for Blob service operations", "Authorize with Shared
//     Key", "Common REST API error codes", "Azure Blob Storage error codes"; the
//     archive tier also in Microsoft's emulator, Azurite
//     https://learn.microsoft.com/rest/api/storageservices/get-blob
//     https://learn.microsoft.com/rest/api/storageservices/get-blob-properties
//     https://learn.microsoft.com/rest/api/storageservices/specifying-the-range-header-for-blob-service-operations
//     https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
//     https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
//     https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
//     https://learn.microsoft.com/azure/storage/blobs/archive-rehydrate-overview
//   - Google, metadata by the JSON API and content by the XML API: "Objects:
//     get", "HTTP status and error codes for JSON" and "for XML", "HTTP headers
//     and query string parameters for XML API", "Transcoding of gzip-compressed
//     files", and tokens: "Using OAuth 2.0 for Server to Server Applications"
//     https://cloud.google.com/storage/docs/json_api/v1/objects/get
//     https://cloud.google.com/storage/docs/json_api/v1/status-codes
//     https://cloud.google.com/storage/docs/xml-api/get-object-download
//     https://cloud.google.com/storage/docs/xml-api/reference-headers
//     https://cloud.google.com/storage/docs/xml-api/reference-status
//     https://cloud.google.com/storage/docs/transcoding
//     https://developers.google.com/identity/protocols/oauth2/service-account#httprest
//   - web servers: RFC 9110, "HTTP Semantics", sections 8.8 (validators), 13
//     (conditions), 14 (ranges) and 15 (status codes)
//     https://www.rfc-editor.org/rfc/rfc9110
//
// Every error is one of a table of the store's own words, so that a test cannot
// answer with an error that a store does not have.
//
// # What of it is easy to get wrong
//
//   - S3 answers a HEAD that fails without a body: a status, and no code. An
//     expired session token is a status 400.
//   - S3 answers 403 for what is not there to who may not list (Google too), and
//     for a version by its id to who has no s3:GetObjectVersion.
//   - The ETag of S3 and of Google's XML API is that of the bytes; Google's JSON
//     API has another one, and so has Azure.
//   - Google's Last-Modified is the content's, "updated" in the metadata is the
//     metadata's: they differ once an object's metadata is changed.
//   - Azure and S3 send what is stored compressed as it is stored, with
//     Content-Encoding; Google unpacks it unless asked not to.
//   - An archived object has metadata and no content: 403 at S3, 409 at Azure.
//
// Only reading and listing are there. Lists are as documented in
//
//   - https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
//   - https://cloud.google.com/storage/docs/json_api/v1/objects/list
//   - https://learn.microsoft.com/rest/api/storageservices/list-blobs
//   - https://nginx.org/en/docs/http/ngx_http_autoindex_module.html and
//     https://httpd.apache.org/docs/2.4/mod/mod_autoindex.html, as pages of links
//
// and end at a page, with a token for the next one.
package fakecloud
