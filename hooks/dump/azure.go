package dump

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
)

// openAzure opens a container with the account's key of the credentials, or
// with the identity of the environment.
func openAzure(ctx context.Context, u *url.URL, creds secrets, o Options) (*blob.Bucket, error) {
	account, err := creds.get("AZURE_STORAGE_ACCOUNT")
	if err != nil {
		return nil, err
	}
	key, err := creds.get("AZURE_STORAGE_KEY")
	if err != nil {
		return nil, err
	}
	if account == "" && key == "" {
		b, err := blob.OpenBucket(ctx, (&url.URL{Scheme: u.Scheme, Host: u.Host, RawQuery: u.RawQuery}).String())
		if err != nil {
			return nil, unusable("there is no identity for azblob: pass --dump-credentials with files AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or run where the pod has one and put storage_account=NAME into the dump's URL")
		}
		return b, nil
	}
	if account == "" || key == "" {
		return nil, unusable("the credentials need both files AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY")
	}
	shared, err := container.NewSharedKeyCredential(account, key)
	if err != nil {
		return nil, unusable("file AZURE_STORAGE_KEY of the credentials is not base64")
	}
	service, err := azureblob.NewServiceURL(&azureblob.ServiceURLOptions{
		AccountName:   account,
		StorageDomain: u.Query().Get("domain"),
		Protocol:      u.Query().Get("protocol"),
	})
	if err != nil {
		return nil, unusable("%w", err)
	}
	options := &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Retry: policy.RetryOptions{MaxRetries: -1}, // ours instead
	}}
	if o.transport != nil {
		options.Transport = &http.Client{Transport: o.transport}
	}
	client, err := container.NewClientWithSharedKeyCredential(strings.TrimSuffix(string(service), "/")+"/"+u.Host, shared, options)
	if err != nil {
		return nil, unusable("%w", err)
	}
	return azureblob.OpenBucket(ctx, client, nil)
}

func azureVersion(attrs *blob.Attributes) string { return attrs.ETag }

func pinAzure(as func(any) bool, version string) {
	var in *azblob.DownloadStreamOptions
	if !as(&in) || version == "" {
		return
	}
	etag := azcore.ETag(version)
	in.AccessConditions = &azblob.AccessConditions{ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfMatch: &etag}}
}
