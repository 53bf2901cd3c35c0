// Package fakecloud stands in for object stores of Google, Microsoft and
// Amazon, and for a web server, at the border of the network: the clients under
// test are the real ones, ask the real host names over TLS, and sign with keys
// that are checked here. What is answered follows the stores' documentation:
//
//   - tokens for service accounts:
//     https://developers.google.com/identity/protocols/oauth2/service-account#httprest
//   - metadata of an object, JSON API:
//     https://cloud.google.com/storage/docs/json_api/v1/objects/get and its errors
//     https://cloud.google.com/storage/docs/json_api/v1/status-codes
//   - content of an object, XML API:
//     https://cloud.google.com/storage/docs/xml-api/get-object-download, conditions
//     https://cloud.google.com/storage/docs/xml-api/reference-headers, errors
//     https://cloud.google.com/storage/docs/xml-api/reference-status, and what becomes of Content-Encoding gzip
//     https://cloud.google.com/storage/docs/transcoding
//   - Get Blob, Get Blob Properties, Shared Key and the error codes:
//     https://learn.microsoft.com/rest/api/storageservices/get-blob
//     https://learn.microsoft.com/rest/api/storageservices/get-blob-properties
//     https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
//     https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
//   - HeadObject, GetObject, Signature Version 4, errors and redirects:
//     https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
//     https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
//     https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
//     https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
//   - ranges and conditions of HTTP: RFC 9110, sections 13 and 14
//
// Only reading is there. Listing is refused, as it is to an identity that may
// read objects and nothing else.
package fakecloud
