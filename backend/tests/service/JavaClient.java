import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.regex.Pattern;

/** Uploads, lists, downloads and deletes with java.net.http as it is; prints each status. */
class JavaClient {
    private static final byte[] FORM =
            ("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\n"
                            + "\u00ff\u00d8\u00ff\u00e0 and no more\r\n--b--\r\n")
                    .getBytes(StandardCharsets.ISO_8859_1);

    public static void main(String[] arguments) throws Exception {
        var images = arguments[0] + "/api/v1/images";
        var ofKnownLength = BodyPublishers.ofByteArray(FORM);
        var chunked = BodyPublishers.fromPublisher(BodyPublishers.ofByteArray(FORM));
        var nothing = BodyPublishers.noBody();
        var image = send("POST", images + "/upload", ofKnownLength);
        send("POST", images + "/upload", chunked);
        var id = Pattern.compile("\"id\":\"([^\"]+)\"").matcher(image);
        id.find();
        var path = images + "/" + id.group(1);
        send("GET", images, nothing);
        send("GET", path + "/file", nothing);
        send("DELETE", path, nothing);
        send("GET", path, nothing);
    }

    private static String send(String method, String url, BodyPublisher body) throws Exception {
        // A client of its own makes a connection of its own, and so an offer of its own.
        var client = HttpClient.newHttpClient();
        var request =
                HttpRequest.newBuilder(URI.create(url))
                        .header("Content-Type", "multipart/form-data; boundary=b")
                        .method(method, body)
                        .build();
        var response = client.send(request, BodyHandlers.ofString());
        System.out.println(response.statusCode());
        return response.body();
    }
}
